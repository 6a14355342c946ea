using Arus.Compression;
using Arus.Storage;
using Arus.Testing;

namespace Arus.Grains.Tests;

/// <summary>What a leader answers about its log. What is expected was measured with Kafka 4.4.0.</summary>
public sealed class LeaderLogTests
{
    /// <remarks>
    /// A consumer asks for the epoch of its last record. An unknown end would look like lost records, and it would be reset.
    /// </remarks>
    [Fact]
    public async Task The_end_of_an_epoch_is_known_although_leaders_since_have_appended_nothing()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenAsync();
        await AppendAsync(log, leaderEpoch: 2);
        await AppendAsync(log, leaderEpoch: 5);
        LeaderLog leader = logs.Lead(log, leaderEpoch: 8);
        (int Asked, int Epoch, long End)[] expected =
        [
            (-2, -2, 0), (-1, -1, -1), (0, 0, 0), (2, 2, 1), (3, 2, 1), (5, 5, 2), (6, 5, 2), (7, 5, 2), (8, 8, 2), (9, -1, -1),
        ];
        Assert.Equal(expected, expected.Select(row =>
        {
            EpochEndResponse end = leader.GetEpochEnd(-1, row.Asked);
            return (row.Asked, end.LeaderEpoch, end.EndOffset);
        }));

        LeaderLog ofEmptyLog = logs.Lead(await logs.OpenAsync(partition: 1), leaderEpoch: 3);
        Assert.Equal(new EpochEndResponse(ErrorCode.None, 1, 0), ofEmptyLog.GetEpochEnd(-1, 1));
        Assert.Equal(new EpochEndResponse(ErrorCode.None, 3, 0), ofEmptyLog.GetEpochEnd(-1, 3));
    }

    [Fact]
    public async Task A_negative_epoch_other_than_minus_one_is_fenced()
    {
        await using var logs = new MemoryLogs();
        LeaderLog leader = logs.Lead(await logs.OpenAsync(), leaderEpoch: 3);
        foreach ((int epoch, ErrorCode error) in new[]
        {
            (-2, ErrorCode.FencedLeaderEpoch), (2, ErrorCode.FencedLeaderEpoch), (4, ErrorCode.UnknownLeaderEpoch), (-1, ErrorCode.None),
            (3, ErrorCode.None),
        })
        {
            Assert.Equal(error, leader.GetEpochEnd(epoch, 0).Error);
            Assert.Equal(error, (await leader.ListOffsetAsync(new ListOffsetRequest(-1, epoch, IsolationLevel.ReadUncommitted))).Error);
        }
    }

    [Fact]
    public async Task The_first_offset_comes_with_the_epoch_of_its_record()
    {
        await using var logs = new MemoryLogs();
        IPartitionLog log = await logs.OpenAsync();
        LeaderLog leader = logs.Lead(log, leaderEpoch: 8);
        Assert.Equal(8, (await FirstAsync()).LeaderEpoch);
        await AppendAsync(log, leaderEpoch: 2);
        await AppendAsync(log, leaderEpoch: 5);
        Assert.Equal(2, (await FirstAsync()).LeaderEpoch);
        await log.DeleteRecordsAsync(1);
        Assert.Equal((1, 5), ((await FirstAsync()).Offset, (await FirstAsync()).LeaderEpoch));
        await log.DeleteRecordsAsync(2);
        Assert.Equal((2, 8), ((await FirstAsync()).Offset, (await FirstAsync()).LeaderEpoch));

        Task<ListOffsetResponse> FirstAsync() =>
            leader.ListOffsetAsync(new ListOffsetRequest(ListOffsetRequest.Earliest, -1, IsolationLevel.ReadUncommitted));
    }

    private static async Task AppendAsync(IPartitionLog log, int leaderEpoch)
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(1_000, null, "value"u8.ToArray());
        LogAppendResult[] results = await log.AppendAsync([builder.Build(new RecordBatchOptions()).ToArray()], leaderEpoch);
        Assert.Equal(ErrorCode.None, results.Single().Error);
    }

    private sealed class MemoryLogs : IAsyncDisposable
    {
        private readonly LogThreads _threads = new(threads: 1);
        private readonly BrokerMetrics _metrics = new(TimeProvider.System);
        private readonly LogProvider _provider;

        public MemoryLogs() => _provider = new LogProvider(
            new LogProviderOptions { Directory = "/memory", Time = new ManualTimeProvider() }, new MemoryFileSystem(), _threads);

        public ValueTask<IPartitionLog> OpenAsync(int partition = 0) => _provider.OpenAsync(
            new TopicPartition("topic", partition), Guid.Empty, TopicConfig.Resolve(new Dictionary<string, string>(), BrokerConfig.Of()));

        public LeaderLog Lead(IPartitionLog log, int leaderEpoch) => new(log, leaderEpoch, inSyncReplicas: 1, _metrics);

        public async ValueTask DisposeAsync()
        {
            await _provider.DisposeAsync();
            await _threads.DisposeAsync();
            _metrics.Dispose();
        }
    }
}
