namespace Arus.Protocol.Tests;

public sealed partial class GoldenTests
{
    private static IEnumerable<(IMessage Message, short Version, string Hex)> AdminBodies() =>
    [
        (new InitProducerIdRequest { TransactionTimeoutMs = 1 }, 1, "ffff 00000001"),
        (new InitProducerIdRequest { TransactionTimeoutMs = 1 }, 4, "00 00000001 ffffffffffffffff ffff 00"),
        (new InitProducerIdResponse { ProducerId = 5, ProducerEpoch = 1 }, 4, "00000000 0000 0000000000000005 0001 00"),
        (new OffsetForLeaderEpochRequest
        {
            ReplicaId = -1,
            Topics = [new() { Topic = "t", Partitions = [new() { CurrentLeaderEpoch = 2, LeaderEpoch = 1 }] }],
        }, 3, "ffffffff  00000001 0001 74  00000001 00000000 00000002 00000001"),
        (new OffsetForLeaderEpochResponse { Topics = [new() { Topic = "t", Partitions = [new() { LeaderEpoch = 1, EndOffset = 9 }] }] }, 4,
            "00000000  02 02 74  02 0000 00000000 00000001 0000000000000009 00  00  00"),
        (new CreateTopicsRequest
        {
            Topics =
            [
                new() { Name = "t", NumPartitions = 3, ReplicationFactor = 1, Configs = [new() { Name = "k", Value = "v" }] },
            ],
            TimeoutMs = 1000,
        }, 3, "00000001 0001 74 00000003 0001 00000000 00000001 0001 6b 0001 76  000003e8 00"),
        (new CreateTopicsResponse { Topics = [new() { Name = "t", TopicId = Id, NumPartitions = 3, ReplicationFactor = 1 }] }, 7,
            "00000000  02 02 74 0102030405060708090a0b0c0d0e0f10 0000 00 00000003 0001 01 00  00"),
        (new CreateTopicsResponse
        {
            Topics = [new() { Name = "t", TopicConfigErrorCode = ErrorCode.TopicAuthorizationFailed, Configs = null }],
        }, 5, "00000000  02 02 74 0000 00 ffffffff ffff 00 01 00 02 001d  00"),
        (new DeleteTopicsRequest { TopicNames = ["t"], TimeoutMs = 1 }, 1, "00000001 0001 74 00000001"),
        (new DeleteTopicsRequest { Topics = [new() { TopicId = Id }], TimeoutMs = 1 }, 6,
            "02 00 0102030405060708090a0b0c0d0e0f10 00  00000001 00"),
        (new CreatePartitionsRequest { Topics = [new() { Name = "t", Count = 4 }], TimeoutMs = 1 }, 1,
            "00000001 0001 74 00000004 ffffffff  00000001 00"),
        (new DeleteRecordsRequest { Topics = [new() { Name = "t", Partitions = [new() { Offset = -1 }] }], TimeoutMs = 1 }, 0,
            "00000001 0001 74 00000001 00000000 ffffffffffffffff  00000001"),
        (new DescribeConfigsRequest { Resources = [new() { ResourceType = 2, ResourceName = "t" }] }, 1,
            "00000001 02 0001 74 ffffffff  00"),
        (new DescribeConfigsResponse
        {
            Results =
            [
                new()
                {
                    ResourceType = 2,
                    ResourceName = "t",
                    Configs = [new() { Name = "k", Value = "v", ConfigSource = 5, ConfigType = 2 }],
                },
            ],
        }, 4, "00000000  02 0000 00 02 02 74  02 02 6b 02 76 00 05 00 01 02 00 00  00  00"),
        (new IncrementalAlterConfigsRequest
        {
            Resources = [new() { ResourceType = 2, ResourceName = "t", Configs = [new() { Name = "k", ConfigOperation = 1 }] }],
        }, 1, "02 02 02 74  02 02 6b 01 00 00  00  00 00"),
        (new AlterConfigsResponse { Responses = [new() { ResourceType = 4, ResourceName = "1", ErrorMessage = "no" }] }, 0,
            "00000000 00000001 0000 0002 6e6f 04 0001 31"),
        (new ElectLeadersRequest { TopicPartitions = [new() { Topic = "t", Partitions = [3] }], TimeoutMs = 5 }, 0,
            "00000001 0001 74 00000001 00000003  00000005"),
        (new ElectLeadersRequest { ElectionType = 1, TopicPartitions = null, TimeoutMs = 5 }, 2, "01 00 00000005 00"),
        (new ElectLeadersResponse
        {
            ReplicaElectionResults =
                [new() { Topic = "t", PartitionResult = [new() { PartitionId = 3, ErrorCode = ErrorCode.ElectionNotNeeded }] }],
        }, 2, "00000000 0000 02 02 74 02 00000003 0054 00 00 00 00"),
        (new AlterPartitionReassignmentsRequest
        {
            AllowReplicationFactorChange = false, TimeoutMs = 5,
            Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 3, Replicas = [1, 2] }, new() { Replicas = null }] }],
        }, 1, "00000005 00 02 02 74 03 00000003 03 00000001 00000002 00  00000000 00 00  00 00"),
        (new AlterPartitionReassignmentsResponse
        {
            Responses = [new() { Name = "t", Partitions = [new() { PartitionIndex = 3, ErrorCode = ErrorCode.NoReassignmentInProgress }] }],
        }, 1, "00000000 01 0000 00 02 02 74 02 00000003 0055 00 00 00 00"),
        (new AlterReplicaLogDirsRequest { Dirs = [new() { Path = "/d", Topics = [new() { Name = "t", Partitions = [3] }] }] }, 2,
            "02 03 2f64 02 02 74 02 00000003 00 00 00"),
        (new AlterReplicaLogDirsResponse
        {
            Results =
                [new() { TopicName = "t", Partitions = [new() { PartitionIndex = 3, ErrorCode = ErrorCode.LogDirNotFound }] }],
        }, 1, "00000000 00000001 0001 74 00000001 00000003 0039"),
        (new UnregisterBrokerRequest { BrokerId = 3 }, 0, "00000003 00"),
        (new UnregisterBrokerResponse { ErrorCode = ErrorCode.BrokerIdNotRegistered, ErrorMessage = "no" }, 0, "00000000 0066 03 6e6f 00"),
        (new DescribeQuorumRequest { Topics = [new() { TopicName = "t", Partitions = [new() { PartitionIndex = 3 }] }] }, 1,
            "02 02 74 02 00000003 00 00 00"),
        (new DescribeQuorumResponse
        {
            Topics =
            [
                new()
                {
                    TopicName = "t",
                    Partitions =
                        [new() { LeaderId = 1, HighWatermark = 9, CurrentVoters = [new() { ReplicaId = 1, LogEndOffset = 9 }] }],
                },
            ],
            Nodes = [new() { NodeId = 1, Listeners = [new() { Name = "P", Host = "h", Port = 9092 }] }],
        }, 2, "0000 00 02 02 74 02 00000000 0000 00 00000001 00000000 0000000000000009"
            + "02 00000001 00000000000000000000000000000000 0000000000000009 ffffffffffffffff ffffffffffffffff 00 01 00 00"
            + "02 00000001 02 02 50 02 68 2384 00 00 00"),
        (new ListPartitionReassignmentsRequest { TimeoutMs = 5, Topics = null }, 0, "00000005 00 00"),
        (new ListPartitionReassignmentsResponse
        {
            Topics =
            [
                new()
                {
                    Name = "t",
                    Partitions = [new() { PartitionIndex = 3, Replicas = [4, 1], AddingReplicas = [4], RemovingReplicas = [1] }],
                },
            ],
        }, 0, "00000000 0000 00 02 02 74 02 00000003 03 00000004 00000001 02 00000004 02 00000001 00 00 00"),
        (new DescribeClusterRequest { IncludeFencedBrokers = true }, 2, "00 01 01 00"),
        (new DescribeClusterResponse { ClusterId = "c", ControllerId = 1, Brokers = [new() { BrokerId = 1, Host = "h", Port = 2 }] }, 0,
            "00000000 0000 00 02 63 00000001  02 00000001 02 68 00000002 00 00  80000000 00"),
        (new DescribeLogDirsRequest(), 2, "00 00"),
        (new DescribeTopicPartitionsRequest { Topics = [new() { Name = "t" }] }, 0, "02 02 74 00  000007d0 ff 00"),
        (new DescribeTopicPartitionsRequest { Cursor = new() { TopicName = "t", PartitionIndex = 1 } }, 0,
            "01  000007d0  01 02 74 00000001 00  00"),
        (new SaslHandshakeRequest { Mechanism = "PLAIN" }, 1, "0005 504c41494e"),
        (new SaslAuthenticateRequest { AuthBytes = new byte[] { 0, 97 } }, 0, "00000002 0061"),
    ];
}
