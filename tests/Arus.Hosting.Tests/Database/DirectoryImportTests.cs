using Arus.Grains;
using Arus.Hosting.Database;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

namespace Arus.Hosting.Tests;

/// <summary>A single broker's directory on its way into a database. That a cluster goes on with it, tests/e2e/import.sh proves.</summary>
public sealed class DirectoryImportTests : IDisposable
{
    private readonly Application _application = new();

    [PostgresFact]
    public async Task Topics_become_states_led_by_the_broker_and_an_import_may_be_repeated()
    {
        Guid id = await RunAloneAsync();
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(await DatabaseAsync());
        ImportResult first = await ImportAsync(source);
        Assert.Equal((1, 1, 2, false), (first.BrokerId, first.Topics, first.Partitions, first.WasThere));
        await using (NpgsqlCommand states = source.CreateCommand(
            """
            SELECT topic_id, leader, leader_epoch, replicas, isr, is_shared FROM arus_partition_state
            WHERE topic = 'journal' AND partition = 0
            """))
        await using (NpgsqlDataReader row = await states.ExecuteReaderAsync(TestTimeout.Token))
        {
            Assert.True(await row.ReadAsync(TestTimeout.Token));
            Assert.Equal((id, 1, false), (row.GetGuid(0), row.GetInt32(1), row.GetBoolean(5)));
            Assert.True(row.GetInt32(2) >= 1);
            Assert.Equal([1], row.GetFieldValue<int[]>(3));
            Assert.Equal([1], row.GetFieldValue<int[]>(4));
        }

        await using (NpgsqlCommand topics = source.CreateCommand("SELECT grain_key FROM arus_grain_state WHERE state_name = 'topic'"))
            Assert.Equal("topic/journal", await topics.ExecuteScalarAsync(TestTimeout.Token));

        await using (NpgsqlCommand led = source.CreateCommand("SELECT count(*) FROM arus_grain_state WHERE state_name = 'partition'"))
            Assert.Equal(0L, await led.ExecuteScalarAsync(TestTimeout.Token));

        // As after a crash between the commit and the mark in the directory.
        string identity = Path.Combine(_application.LogDirectory, "meta.properties");
        await File.WriteAllTextAsync(identity, (await File.ReadAllTextAsync(identity)).Replace("metadata=database", "metadata=importing"));
        Assert.True((await ImportAsync(source)).WasThere);
        Assert.Contains("metadata=database", await File.ReadAllTextAsync(identity));
    }

    [PostgresFact]
    public async Task Another_clusters_database_and_damaged_metadata_change_nothing()
    {
        await RunAloneAsync();
        await using NpgsqlDataSource other = NpgsqlDataSource.Create(await DatabaseAsync());
        await DatabaseSchema.CreateAsync(other, TestTimeout.Token);
        await using (NpgsqlCommand take = other.CreateCommand(
            "INSERT INTO arus_cluster (cluster_id, orleans_cluster_id, orleans_service_id) VALUES ('other', 'arus', 'arus')"))
        {
            await take.ExecuteNonQueryAsync(TestTimeout.Token);
        }

        Assert.Contains("that of cluster other", (await Assert.ThrowsAsync<StartRefusedException>(() => ImportAsync(other))).Message);
        string state = Directory.EnumerateFiles(
            DataDirectory.MetadataOf(_application.LogDirectory), "topic~*.state", SearchOption.AllDirectories).Single();
        byte[] bytes = await File.ReadAllBytesAsync(state);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(state, bytes);
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(await DatabaseAsync());
        Assert.Contains(state, (await Assert.ThrowsAsync<StartRefusedException>(() => ImportAsync(source))).Message);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(state, bytes);
        using (IHost host = _application.Build())
        {
            await host.StartAsync(TestTimeout.Token);
            await host.StopAsync(TestTimeout.Token);
        }
    }

    public void Dispose() => _application.Dispose();

    private static async Task<string> DatabaseAsync() => await (await PostgresServer.SharedAsync()).CreateDatabaseAsync();

    private async Task<Guid> RunAloneAsync()
    {
        using IHost host = _application.Build();
        await host.StartAsync(TestTimeout.Token);
        var grains = host.Services.GetRequiredService<IGrainFactory>();
        TopicDescription topic =
            await grains.GetGrain<ITopicGrain>("journal").CreateAsync(new TopicSpec(2, -1, null, [], false));
        await grains.GetGrain<IJournalGrain>("journal").WriteAsync("one");
        await grains.GetGrain<IPartitionGrain>("journal/0").DescribeAsync();
        await host.StopAsync(TestTimeout.Token);
        return topic.Id;
    }

    private async Task<ImportResult> ImportAsync(NpgsqlDataSource source)
    {
        using DataDirectory directory = DataDirectory.OpenForImport(_application.LogDirectory);
        return await new DirectoryImport(directory, source, "arus", "arus", _ => { }).RunAsync((_, _) => { }, TestTimeout.Token);
    }
}
