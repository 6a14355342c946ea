namespace Arus.Storage.Tests;

/// <summary>
/// Grains open, close and maintain logs in turns of their own, and a killed silo gives them no further turn. What they began must end
/// all the same: whoever disposes the provider, or opens the log next, waits for it.
/// </summary>
public sealed class AbandonedCallerTests
{
    /// <summary>Bounds a failure; nothing that succeeds waits for it.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task A_provider_is_disposed_though_the_grain_that_opened_a_log_is_gone()
    {
        await using var threads = new LogThreads(1);
        var provider = new LogProvider(new LogProviderOptions { Directory = "/logs" }, new MemoryFileSystem(), threads);
        await AbandonAsync(
            threads, LogLane.Read, () => provider.OpenAsync(LogFixture.Partition, Guid.Empty, LogExtensions.Config()).AsTask());
        await provider.DisposeAsync().AsTask().WaitAsync(Limit);
        Assert.Equal(0, provider.OpenLogs);
    }

    [Fact]
    public async Task A_provider_is_disposed_though_the_grain_that_was_closing_a_log_is_gone()
    {
        await using var threads = new LogThreads(1);
        var provider = new LogProvider(new LogProviderOptions { Directory = "/logs" }, new MemoryFileSystem(), threads);
        IPartitionLog log = await provider.OpenAsync(LogFixture.Partition, Guid.Empty, LogExtensions.Config());
        await AbandonAsync(threads, LogLane.Write, () => log.DisposeAsync().AsTask());
        await provider.DisposeAsync().AsTask().WaitAsync(Limit);
        Assert.Equal(0, provider.OpenLogs);
    }

    [Fact]
    public async Task A_log_is_opened_though_the_grain_that_opened_it_before_is_gone()
    {
        await using var threads = new LogThreads(1);
        var provider = new LogProvider(new LogProviderOptions { Directory = "/logs" }, new MemoryFileSystem(), threads);
        await AbandonAsync(
            threads, LogLane.Read, () => provider.OpenAsync(LogFixture.Partition, Guid.Empty, LogExtensions.Config()).AsTask());
        IPartitionLog log = await provider.OpenAsync(LogFixture.Partition, Guid.Empty, LogExtensions.Config()).AsTask().WaitAsync(Limit);
        Assert.Equal(0, await log.MustAppendAsync(Batches.Of("a")));
        await provider.DisposeAsync();
    }

    [Fact]
    public async Task A_log_is_maintained_though_the_grain_that_maintained_it_before_is_gone()
    {
        await using var threads = new LogThreads(1);
        var provider = new LogProvider(new LogProviderOptions { Directory = "/logs" }, new MemoryFileSystem(), threads);
        TopicConfig config = LogExtensions.Config(("internal.segment.bytes", "1024"), ("retention.bytes", "1024"), ("retention.ms", "-1"));
        IPartitionLog log = await provider.OpenAsync(LogFixture.Partition, Guid.Empty, config);
        await log.MustAppendAsync(Batches.Sized(1024));
        await log.MustAppendAsync(Batches.Sized(1024));
        Task abandoned = await AbandonAsync(threads, LogLane.Write, () => log.MaintainAsync().AsTask());
        await abandoned.WaitAsync(Limit);
        Assert.Equal(1, log.LogStartOffset);
        await log.MustAppendAsync(Batches.Sized(1024));
        Assert.Equal(1, (await log.MaintainAsync()).SegmentsDeleted);
        await provider.DisposeAsync();
    }

    /// <summary>
    /// Begins an action in a grain's turn while the lane that it needs is held up, and goes on only after the grain is gone.
    /// </summary>
    /// <returns>The action's task, which nothing in the grain completes any more.</returns>
    private static async Task<Task> AbandonAsync(LogThreads threads, LogLane lane, Func<Task> action)
    {
        using var obstacle = new Obstacle();
        threads.Queue(lane, 0, obstacle);
        var grain = new MortalTaskScheduler();
        Task begun = await grain.BeginAsync(action);
        Assert.False(begun.IsCompleted);
        grain.Halt();
        obstacle.Remove();
        await obstacle.Passed;
        return begun;
    }

    private sealed class Obstacle : ILogWork, IDisposable
    {
        private readonly ManualResetEventSlim _removed = new();
        private readonly TaskCompletionSource _passed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Passed => _passed.Task;

        public void Remove() => _removed.Set();

        public void Execute()
        {
            _removed.Wait();
            _passed.SetResult();
        }

        public void Dispose() => _removed.Dispose();
    }
}
