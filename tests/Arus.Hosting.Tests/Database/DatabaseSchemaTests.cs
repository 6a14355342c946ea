using System.Net;
using Arus.Coordination.Replication;
using Arus.Hosting.Database;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans;
using Orleans.Configuration;
using Orleans.Runtime;
using Orleans.Runtime.MembershipService;

namespace Arus.Hosting.Tests;

/// <summary>The schema, and that Orleans' ADO.NET membership runs on it.</summary>
public sealed class DatabaseSchemaTests
{
    [PostgresFact]
    public async Task It_is_created_once_whoever_creates_it_and_however_often()
    {
        await using NpgsqlDataSource source = await EmptyAsync();
        Assert.Contains(
            "`arus db init`",
            (await Assert.ThrowsAsync<StartRefusedException>(() => DatabaseSchema.CheckAsync(source, TestTimeout.Token))).Message);
        int[] before = await Task.WhenAll(
            Enumerable.Range(0, 8).Select(_ => Task.Run(() => DatabaseSchema.CreateAsync(source, TestTimeout.Token))));
        Assert.Single(before, version => version == 0);
        Assert.Equal(7, before.Count(version => version == DatabaseSchema.Version));
        await DatabaseSchema.CheckAsync(source, TestTimeout.Token);
    }

    [PostgresFact]
    public async Task A_schema_of_a_later_program_is_refused_and_left_alone()
    {
        await using NpgsqlDataSource source = await EmptyAsync();
        await DatabaseSchema.CreateAsync(source, TestTimeout.Token);
        await using NpgsqlCommand later = source.CreateCommand("INSERT INTO arus_schema (version) VALUES (99)");
        await later.ExecuteNonQueryAsync(TestTimeout.Token);
        foreach (Func<NpgsqlDataSource, CancellationToken, Task> look in new[] { DatabaseSchema.CheckAsync, DatabaseSchema.CreateAsync })
        {
            StartRefusedException refusal = await Assert.ThrowsAsync<StartRefusedException>(() => look(source, TestTimeout.Token));
            Assert.Contains("version 99", refusal.Message);
        }
    }

    [PostgresFact]
    public async Task A_database_of_version_1_keeps_its_partitions()
    {
        await using NpgsqlDataSource source = await EmptyAsync();
        await DatabaseSchema.CreateAsync(source, TestTimeout.Token);
        await using NpgsqlCommand older = source.CreateCommand(
            """
            ALTER TABLE arus_partition_state DROP COLUMN target;
            DELETE FROM arus_schema WHERE version > 1;
            INSERT INTO arus_partition_state VALUES (
                gen_random_uuid(), 0, 't', 1, 4, 1, '{1,2}', '{}', '{}', '{}', '{}', false, false, false)
            """);
        await older.ExecuteNonQueryAsync(TestTimeout.Token);
        await Assert.ThrowsAsync<StartRefusedException>(() => DatabaseSchema.CheckAsync(source, TestTimeout.Token));
        Assert.Equal(1, await DatabaseSchema.CreateAsync(source, TestTimeout.Token));
        PartitionState kept = Assert.Single(await new NpgsqlPartitionStateStore(source, new SiloLife("c", "s", 1)).ReadAsync(0));
        Assert.Equal((4, 2, true), (kept.LeaderEpoch, kept.Replicas.Length, kept.Target.IsEmpty));
    }

    [PostgresFact]
    public async Task A_creation_that_fails_leaves_nothing()
    {
        await using NpgsqlDataSource source = await EmptyAsync();
        await using NpgsqlCommand obstacle = source.CreateCommand("CREATE TABLE arus_membership (n integer)");
        await obstacle.ExecuteNonQueryAsync(TestTimeout.Token);
        await Assert.ThrowsAsync<PostgresException>(() => DatabaseSchema.CreateAsync(source, TestTimeout.Token));
        await using NpgsqlCommand tables = source.CreateCommand(
            "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'");
        Assert.Equal("arus_membership", await tables.ExecuteScalarAsync(TestTimeout.Token));
    }

    [PostgresFact]
    public async Task Membership_changes_one_version_at_a_time_and_is_read_as_it_was_written()
    {
        await using NpgsqlDataSource source = await EmptyAsync();
        await DatabaseSchema.CreateAsync(source, TestTimeout.Token);
        AdoNetClusteringTable table = Table(source, "arus");
        await table.InitializeMembershipTableAsync(true);
        await table.InitializeMembershipTableAsync(true);
        TableVersion version = (await table.ReadAllAsync()).Version;
        Assert.Equal(0, version.Version);

        // Of two silos that join at the same version one is told to look again, and leaves no row.
        MembershipEntry[] silos = [Silo(1), Silo(2)];
        bool[] joined = await Task.WhenAll(silos.Select(silo => Task.Run(() => table.InsertRowAsync(silo, version.Next()))));
        MembershipEntry first = silos[Array.IndexOf(joined, true)];
        MembershipTableData one = await table.ReadAllAsync();
        Assert.Equal((1, 1), (joined.Count(won => won), one.Version.Version));
        Same(first, Assert.Single(one.Members).Item1);
        Assert.False(await table.InsertRowAsync(first, one.Version.Next()));
        Assert.Equal(1, (await table.ReadAllAsync()).Version.Version);

        first.Status = SiloStatus.Dead;
        first.AddOrUpdateSuspector(Silo(2).SiloAddress, DateTime.UtcNow, 3);
        string row = one.Members[0].Item2;
        Assert.False(await table.UpdateRowAsync(first, version.VersionEtag, version.Next()));
        Assert.False(await table.UpdateRowAsync(Silo(9), row, one.Version.Next()));
        Assert.True(await table.UpdateRowAsync(first, row, one.Version.Next()));
        first.IAmAliveTime = new DateTime(2026, 2, 2, 3, 4, 5, DateTimeKind.Utc);
        await table.UpdateIAmAliveAsync(first);
        MembershipTableData two = await table.ReadRowAsync(first.SiloAddress);
        Same(first, Assert.Single(two.Members).Item1);
        Assert.Equal(2, two.Version.Version);
        Assert.Empty((await table.ReadRowAsync(Silo(9).SiloAddress)).Members);

        // Another cluster's silos are none of ours.
        AdoNetClusteringTable other = Table(source, "other");
        await other.InitializeMembershipTableAsync(true);
        Assert.Empty((await other.ReadAllAsync()).Members);

        await table.CleanupDefunctSiloEntriesAsync(first.IAmAliveTime);
        Assert.Single((await table.ReadAllAsync()).Members);
        await table.CleanupDefunctSiloEntriesAsync(first.IAmAliveTime.AddSeconds(1));
        Assert.Empty((await table.ReadAllAsync()).Members);
        await table.DeleteMembershipTableEntriesAsync("arus");
        await table.InitializeMembershipTableAsync(true);
        Assert.Equal(0, (await table.ReadAllAsync()).Version.Version);
    }

    private static async Task<NpgsqlDataSource> EmptyAsync()
    {
        PostgresServer server = await PostgresServer.SharedAsync();
        return DatabaseSource.Create(await server.CreateDatabaseAsync(), "test");
    }

    private static AdoNetClusteringTable Table(NpgsqlDataSource source, string cluster) => new(
        new ServiceCollection().BuildServiceProvider(),
        Options.Create(new ClusterOptions { ClusterId = cluster, ServiceId = cluster }),
        Options.Create(new AdoNetClusteringSiloOptions { Invariant = "Npgsql", DataSource = source }),
        NullLogger<AdoNetClusteringTable>.Instance);

    private static MembershipEntry Silo(int number) => new()
    {
        SiloAddress = SiloAddress.New(IPAddress.Loopback, 11_110 + number, 77),
        SiloName = $"broker-{number}",
        HostName = "host",
        Status = SiloStatus.Active,
        ProxyPort = 30_000 + number,
        StartTime = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc),
        IAmAliveTime = new DateTime(2026, 1, 1, 0, 0, 1, DateTimeKind.Utc),
    };

    private static void Same(MembershipEntry expected, MembershipEntry actual)
    {
        Assert.Equal(
            (expected.SiloAddress, expected.SiloName, expected.HostName, expected.Status, expected.ProxyPort),
            (actual.SiloAddress, actual.SiloName, actual.HostName, actual.Status, actual.ProxyPort));
        Assert.Equal((expected.StartTime, expected.IAmAliveTime), (actual.StartTime, actual.IAmAliveTime));
        Assert.Equal(
            expected.SuspectTimes?.Select(suspicion => suspicion.Item1) ?? [],
            actual.SuspectTimes?.Select(suspicion => suspicion.Item1) ?? []);
    }
}
