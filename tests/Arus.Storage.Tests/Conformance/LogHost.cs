using Arus.Storage.Rows;
using Arus.Testing;

namespace Arus.Storage.Tests.Conformance;

/// <summary>One implementation of the log, for the conformance suite.</summary>
public abstract class LogHost : IAsyncDisposable
{
    public ManualTimeProvider Time { get; } = new();

    /// <summary>Writes that made appends durable.</summary>
    public abstract int Commits { get; }

    /// <summary>Opens the log, in place of the one that is open.</summary>
    public abstract Task<IPartitionLog> OpenAsync(TopicConfig? config = null, int leaderEpoch = -1);

    /// <summary>Closes everything and opens the log again.</summary>
    public abstract Task<IPartitionLog> ReopenAsync(TopicConfig? config = null);

    /// <summary>No commit goes on until the returned object is disposed.</summary>
    public abstract IDisposable HoldCommits();

    /// <summary>Appends until what was appended before may be compacted.</summary>
    public abstract Task SealAsync(IPartitionLog log);

    public abstract ValueTask DisposeAsync();
}

/// <summary>The log over a file system, its I/O on threads.</summary>
internal sealed class FileLogHost : LogHost
{
    private readonly CountingFileSystem _disk;
    private readonly LogThreads _threads = new(1);
    private readonly LogProviderOptions _options;
    private readonly Action _cleanUp;
    private LogProvider? _provider;

    /// <param name="cleanUp">Called in the end.</param>
    public FileLogHost(ILogFileSystem fileSystem, string directory, Action? cleanUp = null)
    {
        _disk = new CountingFileSystem(fileSystem);
        _options = new LogProviderOptions { Directory = directory, Time = Time };
        _cleanUp = cleanUp ?? (() => { });
    }

    public override int Commits => _disk.SegmentWrites;

    public override async Task<IPartitionLog> OpenAsync(TopicConfig? config = null, int leaderEpoch = -1)
    {
        _provider ??= new LogProvider(_options, _disk, _threads);
        return await _provider.OpenAsync(LogFixture.Partition, Guid.Empty, config ?? LogExtensions.Config(), leaderEpoch);
    }

    public override async Task<IPartitionLog> ReopenAsync(TopicConfig? config = null)
    {
        await CloseAsync();
        return await OpenAsync(config);
    }

    public override IDisposable HoldCommits()
    {
        var obstacle = new Obstacle();
        _threads.Queue(LogLane.Write, 0, obstacle);
        return obstacle;
    }

    public override async Task SealAsync(IPartitionLog log)
    {
        for (int count = log.SegmentCount; log.SegmentCount < count + 1;)
            await log.MustAppendAsync(Batches.Keyed(("filler", new string('f', 300))));

        await log.FlushAsync();
    }

    public override async ValueTask DisposeAsync()
    {
        await CloseAsync();
        await _threads.DisposeAsync();
        _cleanUp();
    }

    private async Task CloseAsync()
    {
        if (_provider is not null)
        {
            await _provider.DisposeAsync();
            _provider = null;
        }
    }

    private sealed class Obstacle : ILogWork, IDisposable
    {
        private readonly ManualResetEventSlim _removed = new();

        public void Execute() => Assert.True(_removed.Wait(TimeSpan.FromSeconds(30)), "The obstacle was not removed.");

        public void Dispose() => _removed.Set();
    }
}

/// <summary>The log over rows.</summary>
/// <param name="open">Opens the store when it is first needed.</param>
public sealed class RowLogHost(Func<Task<ISegmentRowStore>> open) : LogHost
{
    private HeldRowStore? _store;
    private RowPartitionLog? _log;
    private int _epoch = -1;

    public RowLogHost()
        : this(() => Task.FromResult<ISegmentRowStore>(new MemoryRowStore()))
    {
    }

    public override int Commits => _store!.Inserts;

    public override async Task<IPartitionLog> OpenAsync(TopicConfig? config = null, int leaderEpoch = -1)
    {
        _store ??= new HeldRowStore(await open());
        await DisposeAsync();
        _epoch = Math.Max(_epoch, leaderEpoch);
        var options = new RowLogOptions { Time = Time };
        return _log = await RowPartitionLog.OpenAsync(LogFixture.Partition, _store, config ?? LogExtensions.Config(), options, leaderEpoch);
    }

    /// <remarks>Maintenance is the leader's, so the log is opened with the epoch that it had.</remarks>
    public override Task<IPartitionLog> ReopenAsync(TopicConfig? config = null) => OpenAsync(config, _log?.LatestEpoch ?? -1);

    public override IDisposable HoldCommits() => _store!.HoldCalls();

    public override async Task SealAsync(IPartitionLog log) => await log.MustAppendAsync(Batches.Keyed(("filler", "f")));

    /// <summary>Deletes the log that is open, or was last.</summary>
    public async Task DeleteAsync()
    {
        if (_log is { Failure: null })
            await _log.DeleteAsync();
        else
            await (await OpenAsync()).DeleteAsync();
    }

    public override async ValueTask DisposeAsync()
    {
        if (_log is not null)
            await _log.DisposeAsync();
    }
}
