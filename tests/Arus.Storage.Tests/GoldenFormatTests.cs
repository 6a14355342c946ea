using LogCheckpoint = Arus.Protocol.LogCheckpoint;
using LogReplica = Arus.Protocol.LogReplica;
using LogReplicaOffsets = Arus.Protocol.LogReplicaOffsets;

namespace Arus.Storage.Tests;

/// <summary>Formats on disk never change unnoticed: a change needs a new version and a reader of the old one.</summary>
public sealed class GoldenFormatTests
{
    private const string Checkpoint =
        "414C4350000100000058000102030405060708090A0B0C0D0E0F000000000000000500000000000003E8000000000000"
        + "03840000100000000000000002BC00000002000000040000000100000000000000000000000400000000000001F40000"
        + "000067D145E6";

    private const string Replica =
        "414C5250000100000046000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F000000072021"
        + "22232425262728292A2B2C2D2E2F0001FFFFFFFFFFFFFFFF00000000000003E84345E17E";
    private const string Offsets = "414C524F000100000010000000000000002800000000000000054368A5D6";
    private const string LaterOffsets = "414C524F00010000001000000000000003E800000000000000067F84905A";

    private const string Snapshot =
        "000000010000000000000102000300000011223344550100000007000000080000000000000028000000000000002900"
        + "0001941F297C00";

    private const string Index =
        "4149445800010000004800000320000000000000007300000000000003E80000000000000000000007D0000000000000"
        + "07D10000000000000000FFFFFFFFFFFFFFFF0000000A000001F400000000000003E8957D4C97";

    [Fact]
    public void The_checkpoint()
    {
        var checkpoint = new LogCheckpoint
        {
            TopicId = new Guid("00010203-0405-0607-0809-0a0b0c0d0e0f"),
            LogStartOffset = 5,
            RecoveryOffset = 1000,
            RecoverySegment = 900,
            RecoveryPosition = 4096,
            CleanedOffset = 700,
            Epochs = LogCheckpointer.ToStored([new LogEpochStart(1, 0), new LogEpochStart(4, 500)]),
            Producers = ProducerSnapshot.Serialize(new ProducerStateManager()).Bytes,
        };
        var disk = new MemoryFileSystem();
        LogCheckpointFile.Write(disk, "/d", checkpoint, durable: true);
        Assert.Equal(Checkpoint, Convert.ToHexString(DurableFile.ReadFramed(disk, "/d/log.checkpoint", out _)!));
        LogCheckpointFile.Write(disk, "/e", LogCheckpointFile.Read(disk, "/d", out _)!, durable: true);
        Assert.Equal(Checkpoint, Convert.ToHexString(DurableFile.ReadFramed(disk, "/e/log.checkpoint", out _)!));
    }

    [Fact]
    public void The_replica_file()
    {
        var front = new LogReplica
        {
            TopicId = new Guid("00010203-0405-0607-0809-0a0b0c0d0e0f"),
            LogId = new Guid("10111213-1415-1617-1819-1a1b1c1d1e1f"),
            FencedEpoch = 7,
            BootId = new Guid("20212223-2425-2627-2829-2a2b2c2d2e2f"),
            SyncsAlways = true,
            TruncateTo = -1,
            RestartAt = 1000,
        };
        var disk = new MemoryFileSystem();
        ReplicaFile.Write(disk, "/d", front, new LogReplicaOffsets { HighWatermark = 40, LogStartOffset = 5 });
        Assert.Equal(Replica + Offsets, Content());
        ReplicaFile.Overwrite(disk, "/d", new LogReplicaOffsets { HighWatermark = 1000, LogStartOffset = 6 });
        Assert.Equal(Replica + LaterOffsets, Content());
        LogReplica? read = ReplicaFile.Read(disk, "/d", out LogReplicaOffsets? offsets, out string? problem);
        Assert.Null(problem);
        ReplicaFile.Write(disk, "/e", read!, offsets!);
        Assert.Equal(Replica + LaterOffsets, Content("/e"));

        string Content(string directory = "/d") => Convert.ToHexString(DurableFile.ReadFramed(disk, $"{directory}/log.replica", out _)!);
    }

    [Fact]
    public void The_producer_snapshot()
    {
        var producers = new ProducerStateManager();
        producers.Add(Batches.Idempotent(0x0102, 3, 7, count: 2).Span, 40, nowMs: 0x1122334455);
        byte[] bytes = ProducerSnapshot.Serialize(producers).Bytes;
        Assert.Equal(Snapshot, Convert.ToHexString(bytes));
        ProducerStateManager? read = ProducerSnapshot.Deserialize(bytes, 1);
        Assert.Equal(bytes, ProducerSnapshot.Serialize(read!).Bytes);
        for (int length = 0; length < bytes.Length; length++)
            Assert.Null(ProducerSnapshot.Deserialize(bytes.AsMemory(0, length), 1));
    }

    [Fact]
    public void The_index()
    {
        var segment = new Segment("/logs/orders-0", 100, new OpenFiles(new MemoryFileSystem(), 8), new SegmentIndex(0));
        segment.Add(100, 110, 500, maxTimestamp: 1000, nowMs: 2000);
        segment.Add(110, 115, 300, maxTimestamp: 900, nowMs: 2001);
        Assert.Equal(Index, Convert.ToHexString(IndexFile.Serialize(segment)));
    }

    [Fact]
    public void File_names() =>
        Assert.Equal("/d/00000000000000000042.log", Segment.PathOf("/d", 42, Segment.LogSuffix));
}
