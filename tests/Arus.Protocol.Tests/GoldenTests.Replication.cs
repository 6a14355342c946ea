namespace Arus.Protocol.Tests;

/// <summary>What brokers say to each other; brokers of two versions understand each other during a rolling restart.</summary>
public sealed partial class GoldenTests
{
    private static Guid ReplicatedTopic => new("00010203-0405-0607-0809-0a0b0c0d0e0f");
    private static Guid LogOfReplica => new("f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff");

    private static (IMessage, short, string)[] ReplicationBodies()
    {
        const string Partition = "000102030405060708090a0b0c0d0e0f 00000003";
        const string LogId = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
        return
        [
            (new PartitionStates
            {
                States =
                [
                    new()
                    {
                        Topic = "t", TopicId = ReplicatedTopic, PartitionIndex = 3, Version = 258, LeaderEpoch = 4, LeaderId = 1,
                        IsUnclean = true, Replicas = [1, 2], Isr = [new() { BrokerId = 1, LogId = LogOfReplica }],
                        Elr = [new() { BrokerId = 2, LogId = ReplicatedTopic }],
                    },
                ],
            }, 1, $"00000001 0001 74 {Partition} 0000000000000102 00000004 00000001 00 01 00 00000002 00000001 00000002"
                + $"00000001 00000001 {LogId} 00000001 00000002 000102030405060708090a0b0c0d0e0f"),
            (new PartitionStates { States = [new() { Topic = "t", TopicId = ReplicatedTopic, PartitionIndex = 3, Target = [2, 3] }] }, 2,
                $"00000001 0001 74 {Partition} 0000000000000000 00000000 00000000 00 00 00 00000000 00000000 00000000"
                + "00000002 00000002 00000003"),
            (new ReplicaSessionRequest
            {
                Sessions =
                [
                    new()
                    {
                        TopicId = ReplicatedTopic, PartitionIndex = 3, LeaderEpoch = 4, IsUnclean = true, LogStartOffset = 5,
                        LogEndOffset = 9, HighWatermark = 8, Epochs = [new() { Epoch = 4, StartOffset = 6 }],
                    },
                ],
            }, 1, $"00000001 {Partition} 00000004 01 0000000000000005 0000000000000009 0000000000000008"
                + "00000001 00000004 0000000000000006"),
            (new ReplicaSessionResponse
            {
                Sessions =
                [
                    new()
                    {
                        ErrorCode = ErrorCode.FencedLeaderEpoch, LeaderEpoch = 5, Opening = 7, LogEndOffset = 9, LogId = LogOfReplica,
                    },
                ],
            }, 1, $"00000001 004a 00000005 0000000000000007 0000000000000009 {LogId}"),
            (new ReplicaPushRequest
            {
                SenderLife = 11,
                Partitions =
                [
                    new()
                    {
                        TopicId = ReplicatedTopic, PartitionIndex = 3, LeaderEpoch = 4, Opening = 7, PreviousEndOffset = 9,
                        HighWatermark = 8, LogStartOffset = 5, IsResigned = true, SegmentCount = 2,
                    },
                ],
            }, 1, $"000000000000000b 00000001 {Partition} 00000004 0000000000000007 0000000000000009 0000000000000008"
                + "0000000000000005 01 00000002"),
            (new ReplicaPushResponse
            {
                IsLeaseGranted = true,
                Partitions = [new() { ErrorCode = ErrorCode.RequestTimedOut, LogEndOffset = -1 }],
                MovedEnds =
                    [new() { TopicId = ReplicatedTopic, PartitionIndex = 3, LeaderEpoch = 4, Opening = 7, LogEndOffset = 10 }],
            }, 1, $"01 00000001 0007 ffffffffffffffff 00000001 {Partition} 00000004 0000000000000007 000000000000000a"),
        ];
    }
}
