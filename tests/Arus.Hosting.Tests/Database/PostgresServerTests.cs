using Arus.Testing;
using Npgsql;

namespace Arus.Hosting.Tests;

/// <summary>The database of the tests does what tests rely on.</summary>
public sealed class PostgresServerTests
{
    [PostgresFact]
    public async Task What_was_committed_outlives_a_stop_and_a_crash_and_nobody_connects_in_between()
    {
        await using PostgresServer server = await PostgresServer.StartNewAsync(fsync: true);
        string database = await server.CreateDatabaseAsync();
        await ExecuteAsync(database, "CREATE TABLE t AS SELECT 1 AS n");
        await server.StopAsync();
        await Assert.ThrowsAsync<NpgsqlException>(() => ExecuteAsync(database, "SELECT n FROM t"));
        await server.StartAsync();
        await ExecuteAsync(database, "UPDATE t SET n = 2");
        await server.KillAsync();
        await server.StartAsync();
        Assert.Equal(2, await ExecuteAsync(database, "SELECT n FROM t"));
    }

    private static async Task<object?> ExecuteAsync(string connection, string sql)
    {
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(connection);
        await using NpgsqlCommand command = source.CreateCommand(sql);
        return await command.ExecuteScalarAsync(TestTimeout.Token);
    }
}
