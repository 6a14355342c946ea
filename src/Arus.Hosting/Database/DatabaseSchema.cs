using System.Globalization;
using Npgsql;

namespace Arus.Hosting.Database;

/// <summary>
/// What a cluster's database holds: tables of Arus, and the statements that Orleans' ADO.NET providers look for. Versions build on each
/// other, and each is a script that is run once.
/// </summary>
internal static class DatabaseSchema
{
    /// <summary>The version that this program needs.</summary>
    public const int Version = 2;

    /// <summary>Of all who change the schema one at a time does. Chosen at random.</summary>
    private const long AdvisoryLock = 0x41727573_0e5c1b23;

    /// <summary>Brings the database to <see cref="Version"/>. Repeating it changes nothing.</summary>
    /// <returns>The version before; 0 where there was none.</returns>
    /// <exception cref="StartRefusedException">The schema is of a later program.</exception>
    public static async Task<int> CreateAsync(NpgsqlDataSource source, CancellationToken cancellationToken)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(cancellationToken).ConfigureAwait(false);
        string locked = string.Create(CultureInfo.InvariantCulture, $"SELECT pg_advisory_xact_lock({AdvisoryLock})");
        await ExecuteAsync(connection, locked, cancellationToken).ConfigureAwait(false);
        await ExecuteAsync(
            connection,
            """
            CREATE TABLE IF NOT EXISTS arus_schema (
                version integer PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now())
            """,
            cancellationToken).ConfigureAwait(false);
        int before = await VersionAsync(connection, cancellationToken).ConfigureAwait(false);
        for (int version = before + 1; version <= Version; version++)
        {
            await ExecuteAsync(connection, Script(version), cancellationToken).ConfigureAwait(false);
            string done = string.Create(CultureInfo.InvariantCulture, $"INSERT INTO arus_schema (version) VALUES ({version})");
            await ExecuteAsync(connection, done, cancellationToken).ConfigureAwait(false);
        }

        await transaction.CommitAsync(cancellationToken).ConfigureAwait(false);
        return before;
    }

    /// <exception cref="StartRefusedException">The schema is missing, or is not of <see cref="Version"/>.</exception>
    public static async Task CheckAsync(NpgsqlDataSource source, CancellationToken cancellationToken)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
        await using var exists = new NpgsqlCommand("SELECT to_regclass('arus_schema') IS NOT NULL", connection);
        bool isThere = (bool)(await exists.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false))!;
        int version = isThere ? await VersionAsync(connection, cancellationToken).ConfigureAwait(false) : 0;
        if (version < Version)
        {
            string found = version == 0 ? "has no schema of Arus" : $"has version {version} of the schema, and {Version} is needed";
            throw new StartRefusedException(
                $"The database {found}: run `arus db init`, or allow brokers to create it ({BrokerConfigs.DatabaseCreateSchema}=true).");
        }
    }

    /// <exception cref="StartRefusedException">The schema is of a later program.</exception>
    private static async Task<int> VersionAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var select = new NpgsqlCommand("SELECT coalesce(max(version), 0) FROM arus_schema", connection);
        int version = (int)(await select.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false))!;
        return version <= Version
            ? version
            : throw new StartRefusedException(
                $"The database has version {version} of the schema, and this program knows {Version} at most: use a newer one.");
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
    }

    private static string Script(int version)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"schema-{version}.sql");
        using Stream stream = typeof(DatabaseSchema).Assembly.GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
