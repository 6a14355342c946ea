namespace Arus.Protocol.Tests;

public sealed partial class GoldenTests
{
    private static IEnumerable<(IMessage Message, short Version, string Hex)> GroupBodies() =>
    [
        (new FindCoordinatorRequest { Key = "g" }, 0, "0001 67"),
        (new FindCoordinatorRequest { CoordinatorKeys = ["g"] }, 4, "00 02 02 67 00"),
        (new FindCoordinatorResponse { NodeId = 1, Host = "h", Port = 2 }, 0, "0000 00000001 0001 68 00000002"),
        (new FindCoordinatorResponse { Coordinators = [new() { Key = "g", NodeId = 1, Host = "h", Port = 2 }] }, 4,
            "00000000  02 02 67 00000001 02 68 00000002 0000 00 00  00"),
        (new JoinGroupRequest
        {
            GroupId = "g",
            SessionTimeoutMs = 10_000,
            RebalanceTimeoutMs = 60_000,
            GroupInstanceId = "i",
            ProtocolType = "consumer",
            Protocols = [new() { Name = "range", Metadata = new byte[] { 1, 2 } }],
        }, 5, "0001 67  00002710 0000ea60  0000  0001 69  0008 636f6e73756d6572  00000001 0005 72616e6765 00000002 0102"),
        (new JoinGroupResponse
        {
            GenerationId = 1,
            ProtocolName = "range",
            Leader = "m",
            MemberId = "m",
            Members = [new() { MemberId = "m", Metadata = new byte[] { 9 } }],
        }, 2, "00000000 0000 00000001  0005 72616e6765  0001 6d  0001 6d  00000001 0001 6d 00000001 09"),
        (new JoinGroupResponse
        {
            ErrorCode = ErrorCode.MemberIdRequired,
            MemberId = "m",
        }, 9, "00000000 004f ffffffff  00 00  01 00  02 6d  01  00"),
        (new SyncGroupRequest
        {
            GroupId = "g",
            GenerationId = 3,
            MemberId = "m",
            Assignments = [new() { MemberId = "m", Assignment = new byte[] { 7 } }],
        }, 0, "0001 67 00000003 0001 6d  00000001 0001 6d 00000001 07"),
        (new SyncGroupResponse { ProtocolType = "c", ProtocolName = "r", Assignment = new byte[] { 7 } }, 5,
            "00000000 0000  02 63 02 72  02 07  00"),
        (new HeartbeatRequest { GroupId = "g", GenerationId = 3, MemberId = "m" }, 4, "02 67 00000003 02 6d 00 00"),
        (new HeartbeatResponse { ErrorCode = ErrorCode.RebalanceInProgress }, 0, "001b"),
        (new LeaveGroupRequest { GroupId = "g", MemberId = "m" }, 1, "0001 67 0001 6d"),
        (new LeaveGroupRequest { GroupId = "g", Members = [new() { MemberId = "m", Reason = "x" }] }, 5, "02 67  02 02 6d 00 02 78 00  00"),
        (new LeaveGroupResponse { Members = [new() { MemberId = "m" }] }, 3, "00000000 0000  00000001 0001 6d ffff 0000"),
        (new OffsetCommitRequest
        {
            GroupId = "g",
            GenerationIdOrMemberEpoch = 2,
            MemberId = "m",
            Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 1, CommittedOffset = 5, CommittedMetadata = "" }] }],
        }, 2, "0001 67 00000002 0001 6d ffffffffffffffff  00000001 0001 74  00000001 00000001 0000000000000005 0000"),
        (new OffsetCommitRequest
        {
            GroupId = "g",
            Topics = [new() { TopicId = Id, Partitions = [new() { PartitionIndex = 1, CommittedOffset = 5 }] }],
        }, 10, "02 67 ffffffff 01 00  02 0102030405060708090a0b0c0d0e0f10  02 00000001 0000000000000005 ffffffff 00 00  00  00"),
        (new OffsetCommitResponse { Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 1 }] }] }, 3,
            "00000000  00000001 0001 74  00000001 00000001 0000"),
        (new TxnOffsetCommitRequest
        {
            TransactionalId = "x", GroupId = "g", ProducerId = 9, ProducerEpoch = 2,
            Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 1, CommittedOffset = 5, CommittedMetadata = "" }] }],
        }, 0, "0001 78 0001 67 0000000000000009 0002  00000001 0001 74  00000001 00000001 0000000000000005 0000"),
        (new TxnOffsetCommitRequest
        {
            TransactionalId = "x", GroupId = "g", ProducerId = 9, ProducerEpoch = 2, GenerationIdOrMemberEpoch = 3, MemberId = "m",
            Topics = [new() { TopicId = Id, Partitions = [new() { PartitionIndex = 1, CommittedOffset = 5 }] }],
        }, 6, "02 78 02 67 0000000000000009 0002 00000003 02 6d 00  02 0102030405060708090a0b0c0d0e0f10  "
            + "02 00000001 0000000000000005 ffffffff 00 00  00  00"),
        (new TxnOffsetCommitResponse
        {
            Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 1, ErrorCode = ErrorCode.InvalidTxnState }] }],
        }, 2, "00000000  00000001 0001 74  00000001 00000001 0030"),
        (new TxnOffsetCommitResponse { Topics = [new() { TopicId = Id, Partitions = [new() { PartitionIndex = 1 }] }] }, 6,
            "00000000  02 0102030405060708090a0b0c0d0e0f10  02 00000001 0000 00  00  00"),
        (new OffsetFetchRequest { GroupId = "g", Topics = [new() { Name = "t", PartitionIndexes = [0, 1] }] }, 1,
            "0001 67  00000001 0001 74  00000002 00000000 00000001"),
        (new OffsetFetchRequest { GroupId = "g", Topics = null! }, 7, "02 67 00 00 00"),
        (new OffsetFetchRequest { Groups = [new() { GroupId = "g" }], RequireStable = true }, 9, "02 02 67 00 ffffffff 00 00  01  00"),
        (new OffsetFetchResponse { Topics = [new() { Name = "t", Partitions = [new() { CommittedOffset = -1 }] }] }, 1,
            "00000001 0001 74  00000001 00000000 ffffffffffffffff 0000 0000"),
        (new OffsetFetchResponse
        {
            Groups =
            [
                new() { GroupId = "g", Topics = [new() { TopicId = Id, Partitions = [new() { CommittedOffset = 4, Metadata = "m" }] }] },
            ],
        }, 10, "00000000  02 02 67  02 0102030405060708090a0b0c0d0e0f10  "
            + "02 00000000 0000000000000004 ffffffff 02 6d 0000 00  00  0000 00  00"),
        (new OffsetDeleteRequest { GroupId = "g", Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 1 }] }] }, 0,
            "0001 67  00000001 0001 74  00000001 00000001"),
        (new DescribeGroupsRequest { Groups = ["g"] }, 5, "02 02 67 00 00"),
        (new DescribeGroupsResponse { Groups = [new() { GroupId = "g", GroupState = "Dead", ErrorCode = ErrorCode.GroupIdNotFound }] }, 6,
            "00000000  02 0045 00 02 67 05 44656164 01 01 01 80000000 00  00"),
        (new ListGroupsRequest { StatesFilter = ["Empty"], TypesFilter = [] }, 5, "02 06 456d707479 01 00"),
        (new ListGroupsResponse { Groups = [new() { GroupId = "g", ProtocolType = "c" }] }, 0, "0000 00000001 0001 67 0001 63"),
        (new DeleteGroupsRequest { GroupsNames = ["g"] }, 2, "02 02 67 00"),
        (new DeleteGroupsResponse { Results = [new() { GroupId = "g", ErrorCode = ErrorCode.NonEmptyGroup }] }, 0,
            "00000000 00000001 0001 67 0044"),
    ];
}
