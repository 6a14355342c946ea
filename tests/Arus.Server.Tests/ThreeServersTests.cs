using System.Text;
using Arus.Compression;
using Arus.Grains;
using Arus.Testing;
using Npgsql;
using Orleans.Runtime;

namespace Arus.Server.Tests;

public sealed class ThreeServersTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-three-").FullName;
    private readonly ServerProcess.Ports[] _ports = [ServerProcess.Ports.Free(), ServerProcess.Ports.Free(), ServerProcess.Ports.Free()];
    private string _database = "";

    /// <summary>What a log has in the database besides its rows.</summary>
    private const long Heads = 2;

    [PostgresFact]
    public async Task Three_processes_are_one_cluster_and_a_killed_one_comes_back_with_its_records()
    {
        _database = await (await PostgresServer.SharedAsync()).CreateDatabaseAsync();
        await using ServerProcess first = await StartAsync(1);
        await using ServerProcess third = await StartAsync(3);
        IGrainFactory grains = await third.ConnectAsync();
        IPartitionGrain mine = grains.GetGrain<IPartitionGrain>("t/0");
        IPartitionGrain others = grains.GetGrain<IPartitionGrain>("t/1");
        await using (ServerProcess second = await StartAsync(2))
        {
            ClusterDescription cluster = await EventuallyAsync(
                grains.GetGrain<IClusterGrain>(0).DescribeAsync, description => description.Brokers.Length == 3);
            Assert.Equal([1, 2, 3], cluster.Brokers.Select(broker => broker.BrokerId));
            Assert.Contains($"cluster {cluster.ClusterId} ", first.Output);
            Assert.Contains($"cluster {cluster.ClusterId} ", second.Output);
            await grains.GetGrain<ITopicGrain>("t").CreateAsync(new TopicSpec(-1, -1, [[1], [2]], [], false));
            Assert.Equal(0, await AppendAsync(mine, "a"));
            Assert.Equal(0, await AppendAsync(others, "b"));
            Assert.Equal(2, (await others.DescribeAsync()).Leader);
            second.Kill();
            await second.WaitForExitAsync();
        }

        await EventuallyAsync(
            () => others.FetchAsync(Fetch()),
            response => response.Error is ErrorCode.LeaderNotAvailable or ErrorCode.NotLeaderOrFollower);
        await EventuallyAsync(() => mine.AppendAsync(Batch("a")), response => response.Results[0].BaseOffset >= 1);
        await using ServerProcess again = await StartAsync(2);
        PartitionReadResult kept = await EventuallyAsync(() => others.FetchAsync(Fetch()), response => response.Error == ErrorCode.None);
        Assert.Equal(1, kept.HighWatermark);
        Assert.Equal(1, await AppendAsync(others, "b"));
    }

    [PostgresFact]
    public async Task A_partition_in_the_database_goes_on_at_another_broker_and_leaves_no_row_when_it_is_deleted()
    {
        _database = await (await PostgresServer.SharedAsync()).CreateDatabaseAsync();
        await using ServerProcess survivor = await StartAsync(1);
        IGrainFactory grains = await survivor.ConnectAsync();
        ITopicGrain topic;
        IPartitionGrain partition;
        int topics = 0;
        await using (ServerProcess killed = await StartAsync(2))
        {
            await EventuallyAsync(grains.GetGrain<IClusterGrain>(0).DescribeAsync, cluster => cluster.Brokers.Length == 2);
            do
            {
                // Any broker may lead, and the other is faster now and then.
                topic = grains.GetGrain<ITopicGrain>($"t{++topics}");
                partition = grains.GetGrain<IPartitionGrain>($"t{topics}/0");
                await topic.CreateAsync(new TopicSpec(
                    -1, -1, [[2]], new() { [TopicConfigs.LogType] = BrokerConfigs.LogTypeStorage }, false));
                for (int i = 0; i < 3; i++)
                    Assert.Equal(i, await AppendAsync(partition, $"{i}"));
            }
            while ((await partition.DescribeAsync()).Leader != 2);

            killed.Kill();
            await killed.WaitForExitAsync();
        }

        Assert.Equal(3, await AppendAsync(partition, "3"));
        Assert.Equal(1, (await partition.DescribeAsync()).Leader);
        PartitionReadResult all = await EventuallyAsync(() => partition.FetchAsync(Fetch()), response => response.Error == ErrorCode.None);
        Assert.Equal((4, 0), (all.HighWatermark, all.LogStartOffset));
        for (int other = 1; other < topics; other++)
            await grains.GetGrain<ITopicGrain>($"t{other}").DeleteAsync();

        await EventuallyAsync(CountRowsAsync, rows => rows == 4 + Heads);
        Assert.Equal(2, (await partition.DeleteRecordsAsync(2)).LogStartOffset);
        Assert.Equal(2 + Heads, await CountRowsAsync());
        await topic.DeleteAsync();
        await EventuallyAsync(CountRowsAsync, rows => rows == 0);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private Task<ServerProcess> StartAsync(int broker) => ServerProcess.StartAsync(
        _ports[broker - 1], Path.Combine(_directory, $"{broker}"), [("ARUS_DATABASE", _database)], $"--broker.id={broker}");

    private static Task<T> EventuallyAsync<T>(Func<Task<T>> ask, Func<T, bool> wanted) => Eventually.AsksAsync(
        ask, wanted, e => e is OrleansException or TimeoutException or ArusException, TimeSpan.FromSeconds(60));

    private async Task<long> CountRowsAsync()
    {
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(_database);
        await using NpgsqlCommand count = source.CreateCommand("SELECT count(*) FROM arus_grain_state WHERE grain_key LIKE 'arus-log/%'");
        return (long)(await count.ExecuteScalarAsync(TestTimeout.Token))!;
    }

    /// <summary>Appends as soon as there is a leader.</summary>
    private static async Task<long> AppendAsync(IPartitionGrain partition, string value) =>
        (await EventuallyAsync(() => partition.AppendAsync(Batch(value)), response => response.Results[0].Error == ErrorCode.None))
            .Results[0].BaseOffset;

    private static PartitionRead Fetch() => new(0, -1, 1 << 20, true, 0, IsolationLevel.ReadUncommitted);

    private static PartitionAppend Batch(string value)
    {
        using var builder = new RecordBatchBuilder();
        builder.Append(1_700_000_000_000, null, Encoding.UTF8.GetBytes(value));
        return new PartitionAppend(-1, 5_000, [builder.Build(new RecordBatchOptions()).ToArray()]);
    }
}
