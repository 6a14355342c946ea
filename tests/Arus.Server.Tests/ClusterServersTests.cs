using System.Diagnostics;
using Arus.Grains;
using Arus.Testing;
using Npgsql;
using Orleans.Runtime;

namespace Arus.Server.Tests;

/// <summary>Server processes with a database: how they start, how they are refused, and how they end.</summary>
public sealed class ClusterServersTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-cluster-").FullName;
    private readonly ServerProcess.Ports[] _ports = [ServerProcess.Ports.Free(), ServerProcess.Ports.Free(), ServerProcess.Ports.Free()];

    [PostgresFact]
    public async Task A_cluster_has_no_first_broker_and_keeps_its_metadata_when_all_are_gone()
    {
        string database = await DatabaseAsync();
        string clusterId;
        await using (ServerProcess first = await StartAsync(database, 1))
        await using (ServerProcess second = await StartAsync(database, 2))
        {
            IGrainFactory grains = await second.ConnectAsync();
            clusterId = (await AskAsync(grains, cluster => cluster.Brokers.Length == 2)).ClusterId;
            await grains.GetGrain<ITopicGrain>("t").CreateAsync(new TopicSpec(1, -1, [[2]], [], false));
            first.Kill();
            await first.WaitForExitAsync();
            Assert.Equal(2, Assert.Single((await AskAsync(grains, cluster => cluster.Brokers.Length == 1)).Brokers).BrokerId);
            await using ServerProcess third = await StartAsync(database, 3);
            Assert.Equal([2, 3], (await AskAsync(grains, cluster => cluster.Brokers.Length == 2)).Brokers.Select(b => b.BrokerId));
            second.Terminate();
            Assert.Equal(0, await second.WaitForExitAsync());
            third.Terminate();
            Assert.Equal(0, await third.WaitForExitAsync());
        }

        await using ServerProcess again = await StartAsync(database, 1);
        IGrainFactory client = await again.ConnectAsync();
        Assert.Equal(clusterId, (await client.GetGrain<IClusterGrain>(0).DescribeAsync()).ClusterId);
        Assert.NotNull(await client.GetGrain<ITopicGrain>("t").DescribeAsync());
        Assert.DoesNotContain(new NpgsqlConnectionStringBuilder(database).Password!, again.Output);
    }

    [PostgresFact]
    public async Task With_database_json_a_broker_keeps_no_records_on_its_disk()
    {
        string file = Path.Combine(AppContext.BaseDirectory, "silo-config", "database.json");
        await using ServerProcess broker = await ServerProcess.StartAsync(
            _ports[0], FolderOf("1"), [("ARUS_DATABASE", await DatabaseAsync())], "--config", file);
        IGrainFactory grains = await broker.ConnectAsync();
        await grains.GetGrain<ITopicGrain>("t").CreateAsync(new TopicSpec(1, -1, null, [], false));
        await Eventually.AsksAsync(
            async () => (await grains.GetGrain<ITopicGrain>("t").DescribeAsync())!, topic => topic.Partitions[0].Leader == 1,
            e => e is OrleansException or TimeoutException or ArusException, TimeSpan.FromSeconds(60));
        Assert.Empty(Directory.EnumerateFiles(FolderOf("1"), "*.log", SearchOption.AllDirectories));
    }

    [PostgresFact]
    public async Task Who_is_none_of_the_cluster_is_refused_in_one_line()
    {
        string database = await DatabaseAsync();
        await using ServerProcess first = await StartAsync(database, 1);
        await RefusedAsync(
            database, 2, "broker.id=1 is in use by another live broker, whose silo is at 127.0.0.1:", "--broker.id=1");
        await RefusedAsync(
            database, 3, "The database belongs to the cluster with orleans.cluster.id=arus", "--orleans.cluster.id=other");
        Assert.True((await first.GetAsync("/health/ready")).Length > 0);
        first.Terminate();
        Assert.Equal(0, await first.WaitForExitAsync());

        // The directory is the cluster's: neither a broker by itself nor one of another cluster may have it.
        await RefusedAsync(null, 1, "whose metadata is in a database: set arus.database");
        await RefusedAsync(await DatabaseAsync(), 1, "give this broker its own directory, or its cluster's arus.database");
        await using (ServerProcess alone = await ServerProcess.StartAsync(_ports[2], FolderOf("alone")))
            alone.Kill();

        (int code, string output) = await ServerProcess.RunAsync(_ports[2], FolderOf("alone"), [("ARUS_DATABASE", database)]);
        Assert.Equal(1, code);
        Assert.Contains("belongs to a broker without a database", output);
        Assert.DoesNotContain('\n', output);
    }

    [PostgresFact]
    public async Task A_start_without_its_database_waits_for_a_while_and_says_so_once()
    {
        await using PostgresServer postgres = await PostgresServer.StartNewAsync();
        string database = await postgres.CreateDatabaseAsync();
        await postgres.StopAsync();
        long start = Stopwatch.GetTimestamp();
        (int code, string output) = await ServerProcess.RunAsync(
            _ports[0], FolderOf("1"), [("ARUS_DATABASE", database)], "--arus.database.start.timeout.ms=2000");
        Assert.Equal(1, code);
        Assert.True(Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(2));
        string[] lines = output.Split('\n');
        Assert.Collection(
            lines,
            line => Assert.Contains($"The database at 127.0.0.1:{postgres.Port}/test_1 cannot be reached; trying again for 2 s", line),
            line => Assert.StartsWith("Arus cannot start: The database at 127.0.0.1:", line));
        Task<ServerProcess> waiting = StartAsync(database, 1);
        await postgres.StartAsync();
        await using ServerProcess server = await waiting;
        Assert.Equal("ready\n", await server.GetAsync("/health/ready"));
    }

    [PostgresFact]
    public async Task A_database_that_refuses_is_told_at_once_and_without_the_password()
    {
        var settings = new NpgsqlConnectionStringBuilder(await DatabaseAsync()) { Password = "wrong-secret" };
        await RefusedAsync(settings.ConnectionString, 1, "The database at 127.0.0.1:");
        await RefusedAsync("Host=127.0.0.1;Passwort=wrong-secret", 1, "arus.database is not a connection string of PostgreSQL");
        await RefusedAsync("Database=arus", 1, "arus.database names no Host");
        await RefusedAsync(await DatabaseAsync(), 1, "run `arus db init`", "--arus.database.create.schema=false");
    }

    [PostgresFact]
    public async Task A_broker_starts_although_all_others_were_lost_with_their_machines()
    {
        string database = await DatabaseAsync();
        await using (ServerProcess first = await StartAsync(database, 1))
        {
            first.Kill();
            await first.WaitForExitAsync();
        }

        // Long ago; and the same broker on another machine is no other.
        await using (NpgsqlDataSource source = NpgsqlDataSource.Create(database))
        {
            await using NpgsqlCommand age = source.CreateCommand("UPDATE arus_membership SET alive_at = now() - interval '5 minutes'");
            Assert.Equal(1, await age.ExecuteNonQueryAsync(TestTimeout.Token));
        }

        await using ServerProcess again = await ServerProcess.StartAsync(_ports[2], FolderOf("1"), [("ARUS_DATABASE", database)]);
        Assert.Contains($"The silos at 127.0.0.1:{_ports[0].Silo} are declared dead", again.Output);
        Assert.Equal("ready\n", await again.GetAsync("/health/ready"));
    }

    [PostgresFact]
    public async Task While_the_database_is_away_brokers_stay_and_a_graceful_stop_ends_in_time()
    {
        await using PostgresServer postgres = await PostgresServer.StartNewAsync();
        string database = await postgres.CreateDatabaseAsync();
        await using ServerProcess first = await StartAsync(database, 1);
        await using ServerProcess second = await StartAsync(database, 2);
        IGrainFactory grains = await first.ConnectAsync();
        await AskAsync(grains, cluster => cluster.Brokers.Length == 2);
        await grains.GetGrain<ITopicGrain>("before").CreateAsync(new TopicSpec(1, -1, [[1]], [], false));
        await postgres.StopAsync();

        // What was loaded is told; what has to be written fails, and says that it may be tried again.
        Assert.NotNull(await grains.GetGrain<ITopicGrain>("before").DescribeAsync());
        Exception failure = await Assert.ThrowsAnyAsync<Exception>(
            () => grains.GetGrain<ITopicGrain>("during").CreateAsync(new TopicSpec(1, -1, [[1]], [], false)));
        Assert.True(StorageFailure.Is(failure), $"{failure}");
        long told = Stopwatch.GetTimestamp();
        second.Terminate();
        Assert.Equal(0, await second.WaitForExitAsync());
        Assert.InRange(Stopwatch.GetElapsedTime(told), TimeSpan.Zero, TimeSpan.FromSeconds(15));
        Assert.Equal("ready\n", await first.GetAsync("/health/ready"));
        await postgres.StartAsync();
        await Eventually.AsksAsync(
            () => grains.GetGrain<ITopicGrain>("after").CreateAsync(new TopicSpec(1, -1, [[1]], [], false)), _ => true,
            e => e is OrleansException or TimeoutException or ArusException || StorageFailure.Is(e), TimeSpan.FromSeconds(60));
        await using ServerProcess again = await StartAsync(database, 2);
        await AskAsync(grains, cluster => cluster.Brokers.Length == 2);
    }

    [PostgresFact]
    public async Task A_silo_that_was_declared_dead_ends_with_exit_code_1_and_one_line()
    {
        string database = await DatabaseAsync();
        await using ServerProcess first = await StartAsync(database, 1);
        await using ServerProcess second = await StartAsync(database, 2);
        await using ServerProcess third = await StartAsync(database, 3);
        IGrainFactory grains = await first.ConnectAsync();
        await AskAsync(grains, cluster => cluster.Brokers.Length == 3);
        second.Pause();
        await AskAsync(grains, cluster => cluster.Brokers.Length == 2);
        second.Resume();
        Assert.Equal(1, await second.WaitForExitAsync());
        Assert.Contains("Arus ends, for its silo cannot go on", second.Output.Split('\n')[^1]);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static async Task<string> DatabaseAsync() => await (await PostgresServer.SharedAsync()).CreateDatabaseAsync();

    private static Task<ClusterDescription> AskAsync(IGrainFactory grains, Func<ClusterDescription, bool> wanted) => Eventually.AsksAsync(
        grains.GetGrain<IClusterGrain>(0).DescribeAsync, wanted, e => e is OrleansException or TimeoutException or ArusException,
        TimeSpan.FromSeconds(60));

    private string FolderOf(string name) => Path.Combine(_directory, name);

    private Task<ServerProcess> StartAsync(string database, int broker) => ServerProcess.StartAsync(
        _ports[broker - 1], FolderOf($"{broker}"), [("ARUS_DATABASE", database)], $"--broker.id={broker}");

    /// <summary>Starts a broker that prints one line with these words, and ends with exit code 1.</summary>
    private async Task RefusedAsync(string? database, int broker, string words, params string[] flags)
    {
        (string, string)[] variables = database is null ? [] : [("ARUS_DATABASE", database)];
        (int code, string output) = await ServerProcess.RunAsync(
            _ports[broker - 1], FolderOf($"{broker}"), variables, [$"--broker.id={broker}", .. flags]);
        Assert.Contains(words, output);
        Assert.StartsWith("Arus cannot start: ", output);
        Assert.DoesNotContain('\n', output);
        Assert.DoesNotContain("wrong-secret", output);
        Assert.Equal(1, code);
    }
}
