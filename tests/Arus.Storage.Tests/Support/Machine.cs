using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>A log on a disk that can crash, with all work run by hand: a whole failure replays from its seed.</summary>
internal sealed class Machine
{
    private readonly List<LogEvent> _events = [];
    private int _ids;

    public Machine(LogProviderOptions? options = null)
    {
        Options = (options ?? new LogProviderOptions { Directory = "/logs" }) with
        {
            Time = Time, OnEvent = _events.Add, NewLogId = NewId, BootId = NewId(),
        };
        Boot();
    }

    public ManualTimeProvider Time { get; } = new();

    public LogProviderOptions Options { get; private set; }

    public FaultyFileSystem Disk { get; private set; } = new();

    public ManualScheduler Scheduler { get; private set; } = new();

    public LogProvider Provider { get; private set; } = null!;

    public IReadOnlyList<LogEvent> Events => _events;

    public static TopicPartition Partition => LogFixture.Partition;

    public string Directory => Path.Combine(Options.Directory, Partition.ToString());

    public Task<IPartitionLog> OpenAsync(TopicConfig? config = null, int leaderEpoch = -1) =>
        Scheduler.RunAsync(Provider.OpenAsync(Partition, Guid.Empty, config ?? LogExtensions.Config(), leaderEpoch));

    /// <summary>Opens the log as a replica.</summary>
    public Task<IPartitionLog> OpenReplicaAsync(TopicConfig? config = null, Action? durableEndMoved = null, Guid topicId = default) =>
        Scheduler.RunAsync(Provider.OpenAsync(
            Partition, topicId, config ?? LogExtensions.Config(), replication: new LogReplication(durableEndMoved ?? (() => { }))));

    /// <summary>Changes what the next process is started with; now is before anything is opened.</summary>
    public void Reconfigure(Func<LogProviderOptions, LogProviderOptions> change)
    {
        Options = change(Options);
        Kill();
    }

    /// <summary>The power goes, and comes back.</summary>
    public void Crash(Random random)
    {
        Scheduler.Stop();
        Disk = Disk.Crash(random);
        Options = Options with { BootId = NewId() };
        Scheduler = new ManualScheduler();
        Boot();
    }

    /// <summary>The process dies; the operating system keeps what was written.</summary>
    public void Kill()
    {
        Scheduler.Stop();
        Disk.TurnOn();
        Scheduler = new ManualScheduler();
        Boot();
    }

    public Task<LogAppendResult[]> AppendAsync(
        IPartitionLog log, int epoch, ReadOnlyMemory<byte> batches, AppendOrigin origin = AppendOrigin.Client) =>
        Scheduler.RunAsync(log.AppendAsync([batches], epoch, origin));

    public async Task MustAppendAsync(
        IPartitionLog log, int epoch, ReadOnlyMemory<byte> batches, AppendOrigin origin = AppendOrigin.Client)
    {
        LogAppendResult result = (await AppendAsync(log, epoch, batches, origin))[0];
        Assert.True(result.Error == ErrorCode.None, result.Message);
    }

    public Task PrepareAsync(IPartitionLog log, int epoch, long truncateTo = -1, long restartAt = -1, bool renewLogId = false) =>
        Scheduler.RunAsync(log.PrepareAsync(epoch, truncateTo, restartAt, renewLogId));

    /// <summary>What can be read from an offset on, in one read.</summary>
    public async Task<List<(long Offset, string? Value)>> ReadAsync(
        IPartitionLog log, long offset, LogReadLimit upTo = LogReadLimit.DurableEnd)
    {
        LogReadResult read = await Scheduler.RunAsync(log.ReadAsync(offset, 1 << 20, true, upTo));
        Assert.Equal(ErrorCode.None, read.Error);
        return [.. Batches.Records(read.Records).Select(record => (record.Offset, record.Value))];
    }

    /// <summary>Everything from the log start to the durable end.</summary>
    public async Task<List<(long Offset, string? Value)>> ReadAllAsync(IPartitionLog log)
    {
        var all = new List<(long Offset, string? Value)>();
        long next = log.LogStartOffset;
        while (await ReadAsync(log, next) is { Count: > 0 } read)
        {
            all.AddRange(read.Where(record => record.Offset >= next));
            next = all[^1].Offset + 1;
        }

        return all;
    }

    public async Task RestartAsync(IPartitionLog log)
    {
        await Scheduler.RunAsync(log.DisposeAsync());
        Kill();
    }

    /// <summary>Another machine with a copy of the disk.</summary>
    public Machine Clone()
    {
        var clone = new Machine(Options) { Disk = Disk.Copy() };
        clone.Boot();
        return clone;
    }

    private Guid NewId() => new(++_ids, 0, 0, new byte[8]);

    private void Boot() => Provider = new LogProvider(Options, Disk, Scheduler);
}
