namespace Arus.Protocol.Tests;

/// <summary>
/// What clients embed and what is stored. The persisted bytes were written by the code before this generator: what is on disks stays
/// readable as long as they pass.
/// </summary>
public sealed partial class GoldenTests
{
    private static (IMessage, short, string)[] EmbeddedBodies()
    {
        var subscription = new ConsumerProtocolSubscription { Topics = ["t"], UserData = new byte[] { 1, 2 } };
        var owned = new ConsumerProtocolSubscription
        {
            Topics = ["t"],
            UserData = new byte[] { 1, 2 },
            OwnedPartitions = [new() { Topic = "t", Partitions = [0, 2] }],
            GenerationId = 5,
            RackId = "r",
        };
        var assignment = new ConsumerProtocolAssignment { AssignedPartitions = [new() { Topic = "t", Partitions = [0, 1] }] };
        const string AssignmentBytes = "00000001 0001 74 00000002 00000000 00000001 ffffffff";
        return
        [
            (subscription, 0, "00000001 0001 74 00000002 0102"),
            (owned, 1, "00000001 0001 74 00000002 0102 00000001 0001 74 00000002 00000000 00000002"),
            (owned, 2, "00000001 0001 74 00000002 0102 00000001 0001 74 00000002 00000000 00000002 00000005"),
            (owned, 3, "00000001 0001 74 00000002 0102 00000001 0001 74 00000002 00000000 00000002 00000005 0001 72"),
            (new ConsumerProtocolSubscription(), 3, "00000000 ffffffff 00000000 ffffffff ffff"),
            (assignment, 0, AssignmentBytes),
            (assignment, 1, AssignmentBytes),
            (assignment, 2, AssignmentBytes),
            (assignment, 3, AssignmentBytes),
            (new StickyAssignorUserData { PreviousAssignment = [new() { Topic = "t", Partitions = [0] }] }, 0,
                "00000001 0001 74 00000001 00000000"),
            (new StickyAssignorUserData { PreviousAssignment = [new() { Topic = "t", Partitions = [0] }], Generation = 5 }, 1,
                "00000001 0001 74 00000001 00000000 00000005"),
            (new CooperativeStickyAssignorUserData { Generation = 5 }, 0, "00000005"),
        ];
    }

    private static (IMessage, short, string)[] PersistedBodies() =>
    [
        (new GroupMetadata
        {
            State = 3,
            Generation = 7,
            ProtocolType = "consumer",
            ProtocolName = "range",
            LeaderId = "m-1",
            EmptySinceMs = 1_700_000_000_000,
            Members =
            [
                new()
                {
                    MemberId = "m-1", ClientId = "c", ClientHost = "/h", SessionTimeoutMs = 10_000, RebalanceTimeoutMs = 60_000,
                    Metadata = new byte[] { 1, 2 }, Assignment = new byte[] { 3 },
                },
                new()
                {
                    MemberId = "m-2", InstanceId = "i", ClientId = "d", ClientHost = "/g", SessionTimeoutMs = 20_000,
                    RebalanceTimeoutMs = 70_000, Metadata = new byte[200],
                },
            ],
        }, 1, "03 0e 12 636f6e73756d6572 0c 72616e6765 08 6d2d31 80a0abfef962  04"
            + "08 6d2d31 00 04 63 06 2f68 a09c01 c0a907 06 0102 04 03  08 6d2d32 04 69 04 64 06 2f67 c0b802 e0c508 9203"
            + new string('0', 400) + "02"),
        (new GroupOffsets
        {
            Topics =
            [
                new()
                {
                    Name = "t",
                    Partitions =
                    [
                        new() { Index = 0, Offset = -1, LeaderEpoch = -1, CommittedAtMs = long.MinValue, ExpireAtMs = -1 },
                        new()
                        {
                            Index = 3, Offset = 300, LeaderEpoch = 2, Metadata = "é", CommittedAtMs = 1_700_000_000_000,
                            ExpireAtMs = 2_000,
                        },
                    ],
                },
                new()
                {
                    Name = "u",
                    Partitions = [new() { Offset = long.MaxValue, LeaderEpoch = -1, CommittedAtMs = 1_000, ExpireAtMs = -1 }],
                },
            ],
        }, 1, "04  04 74 04  00 01 01 02 ffffffffffffffffff01 01  06 d804 04 06 c3a9 80a0abfef962 a01f"
            + "04 75 02  00 feffffffffffffffff01 01 02 d00f 01"),
        (new GroupOffsets
        {
            Topics =
            [
                new()
                {
                    Name = "t",
                    Id = new Guid("00010203-0405-0607-0809-0a0b0c0d0e0f"),
                    Partitions = [new() { Index = 3, Offset = 300, LeaderEpoch = 2, CommittedAtMs = 1_000, ExpireAtMs = -1 }],
                },
            ],
        }, 2, "02  04 74 000102030405060708090a0b0c0d0e0f 02  06 d804 04 02 d00f 01"),
        (new GroupOffsets
        {
            Topics =
            [
                new()
                {
                    Name = "t",
                    Id = new Guid("00010203-0405-0607-0809-0a0b0c0d0e0f"),
                    Partitions = [new() { Index = 3, Offset = 300, LeaderEpoch = 2, CommittedAtMs = 1_000, ExpireAtMs = -1 }],
                    Pending =
                    [
                        new()
                        {
                            Index = 3, ProducerId = 300, ProducerEpoch = 7, CoordinatorEpoch = 2, Offset = 301, LeaderEpoch = -1,
                            Metadata = "m", CommittedAtMs = 1_000,
                        },
                    ],
                },
            ],
        }, 3, "02  04 74 000102030405060708090a0b0c0d0e0f 02  06 d804 04 02 d00f 01  02  06 d804 0007 04 da04 01 04 6d d00f"),
        (new LogCheckpoint
        {
            TopicId = new Guid("00010203-0405-0607-0809-0a0b0c0d0e0f"),
            LogStartOffset = 5,
            RecoveryOffset = 1000,
            RecoverySegment = 900,
            RecoveryPosition = 4096,
            CleanedOffset = 700,
            Epochs = [new() { Epoch = 1 }, new() { Epoch = 4, StartOffset = 500 }],
            Producers = new byte[] { 9, 8, 7 },
        }, 1, "000102030405060708090a0b0c0d0e0f 0000000000000005 00000000000003e8 0000000000000384 00001000 00000000000002bc"
            + "00000002 00000003 00000001 0000000000000000  00000004 00000000000001f4  090807"),
        (new LogCheckpoint
        {
            TopicId = new Guid("00010203-0405-0607-0809-0a0b0c0d0e0f"),
            LogStartOffset = 5,
            RecoveryOffset = 1000,
            RecoverySegment = 900,
            RecoveryPosition = 4096,
            CleanedOffset = 700,
            ProducersVersion = 2,
            Epochs = [new() { Epoch = 1 }],
            Ended = [new() { FirstOffset = 990, LastOffset = 995 }],
            Producers = new byte[] { 9, 8, 7 },
        }, 2, "000102030405060708090a0b0c0d0e0f 0000000000000005 00000000000003e8 0000000000000384 00001000 00000000000002bc 02"
            + "00000001 00000003 00000001 0000000000000000  00000001 00000000000003de 00000000000003e3  090807"),
        (new LogReplica
        {
            TopicId = new Guid("00010203-0405-0607-0809-0a0b0c0d0e0f"),
            LogId = new Guid("10111213-1415-1617-1819-1a1b1c1d1e1f"),
            FencedEpoch = 7,
            BootId = new Guid("20212223-2425-2627-2829-2a2b2c2d2e2f"),
            IsClean = true,
            TruncateTo = 1000,
            RestartAt = -1,
        }, 1, "000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f 00000007 202122232425262728292a2b2c2d2e2f 01 00"
            + "00000000000003e8 ffffffffffffffff"),
        (new LogReplicaOffsets { HighWatermark = 1000, LogStartOffset = 5 }, 1, "00000000000003e8 0000000000000005"),
        (new ProducerSnapshot
        {
            Producers =
            [
                new()
                {
                    ProducerId = 5,
                    LastAppendMs = 0x1122334477,
                    Batches = [new() { FirstOffset = 45, LastOffset = 45, Timestamp = 1735689600000 }],
                },
                new()
                {
                    ProducerId = 0x0102,
                    Epoch = 3,
                    LastAppendMs = 0x1122334466,
                    Batches =
                    [
                        new() { FirstSequence = 7, LastSequence = 8, FirstOffset = 40, LastOffset = 41, Timestamp = 1735689600000 },
                        new() { FirstSequence = 9, LastSequence = 11, FirstOffset = 42, LastOffset = 44, Timestamp = 1735689600000 },
                    ],
                },
            ],
        }, 1, "00000002  0000000000000005 0000 0000001122334477 01  00000000 00000000 000000000000002d 000000000000002d 000001941f297c00"
            + "0000000000000102 0003 0000001122334466 02  00000007 00000008 0000000000000028 0000000000000029 000001941f297c00"
            + "00000009 0000000b 000000000000002a 000000000000002c 000001941f297c00"),
        (new ProducerSnapshot
        {
            Producers =
            [
                new()
                {
                    ProducerId = 5,
                    Epoch = 1,
                    CoordinatorEpoch = 3,
                    TransactionFirstOffset = 45,
                    LastAppendMs = 0x1122334477,
                    Batches = [new() { FirstOffset = 45, LastOffset = 45, Timestamp = 1735689600000 }],
                },
            ],
        }, 2, "00000001  0000000000000005 0001 00000003 000000000000002d 0000001122334477 01"
            + "00000000 00000000 000000000000002d 000000000000002d 000001941f297c00"),
        (new SegmentIndexHeader
        {
            Size = 800, NextOffset = 115, MaxTimestamp = 1000, FirstAppendMs = 2000, LastAppendMs = 2001, AbortedCount = 2,
            LowestAborted = 90,
        }, 2, "00000320 0000000000000073 00000000000003e8 00000000 00000000000007d0 00000000000007d1 00000002 000000000000005a"),
        (new SegmentIndexHeader { Size = 800, NextOffset = 115, MaxTimestamp = 1000, FirstAppendMs = 2000, LastAppendMs = 2001 }, 1,
            "00000320 0000000000000073 00000000000003e8 00000000 00000000000007d0 00000000000007d1"),
        (new SegmentRowHeader { LeaderEpoch = 3, BaseOffset = 10, NextOffset = 12, MaxTimestamp = 99 }, 1,
            "00000003 000000000000000a 000000000000000c 0000000000000063"),
        (new RowLogHead
        {
            LeaderEpoch = 2,
            LogStartOffset = 5,
            NextOffset = 12,
            Rows = [new() { BaseOffset = 5, NextOffset = 12, MaxTimestamp = 99, Size = 300, MergedEpoch = -1 }],
            Epochs = [new() { Epoch = 2, StartOffset = 5 }],
            Garbage = ["r1"u8.ToArray()],
            Producers = new byte[] { 7 },
        }, 1, "00000002 0000000000000005 000000000000000c  00000001 0000000000000005 000000000000000c 0000000000000063 0000012c ffffffff"
            + "00000001 00000002 0000000000000005  00000001 00000002 7231  00000001 07"),
        (new RowLogHead
        {
            LeaderEpoch = 2,
            LogStartOffset = 5,
            NextOffset = 20,
            Generation = 4,
            CleanedOffset = 9,
            Rows =
            [
                new() { BaseOffset = 5, NextOffset = 12, MaxTimestamp = 99, Size = 300, MergedEpoch = -1, Number = 6 },
                new() { BaseOffset = 12, NextOffset = 20, MaxTimestamp = 98, Size = 301, MergedEpoch = 2, Number = 7 },
            ],
            Epochs = [new() { Epoch = 2, StartOffset = 5 }, new() { Epoch = 3, StartOffset = 6 }],
            Garbage = ["r1"u8.ToArray(), "m2"u8.ToArray()],
            Producers = new byte[] { 7, 8 },
        }, 2, "00000002 0000000000000005 0000000000000014 00000004 0000000000000009"
            + "00000002 0000000000000005 000000000000000c 0000000000000063 0000012c ffffffff 00000006"
            + "000000000000000c 0000000000000014 0000000000000062 0000012d 00000002 00000007"
            + "00000002 00000002 0000000000000005 00000003 0000000000000006"
            + "00000002 00000002 7231 00000002 6d32  00000002 0708"),
        (new RowLogHead
        {
            LeaderEpoch = 2,
            LogStartOffset = 5,
            NextOffset = 20,
            Generation = 4,
            CleanedOffset = 9,
            Rows = [new() { BaseOffset = 5, NextOffset = 12, MaxTimestamp = 99, Size = 300, MergedEpoch = -1, Number = 6 }],
            ProducersVersion = 2,
            Aborted = [new() { ProducerId = 3, FirstOffset = 6, LastOffset = 9, LastStableOffset = 8 }],
            Producers = new byte[] { 7, 8 },
        }, 3, "00000002 0000000000000005 0000000000000014 00000004 0000000000000009"
            + "00000001 0000000000000005 000000000000000c 0000000000000063 0000012c ffffffff 00000006  00000000 00000000  02"
            + "00000001 0000000000000003 0000000000000006 0000000000000009 0000000000000008  00000002 0708"),
    ];
}
