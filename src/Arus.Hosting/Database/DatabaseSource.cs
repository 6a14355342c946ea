using System.Data.Common;
using Npgsql;

namespace Arus.Hosting.Database;

/// <summary>Connections to a cluster's database, within bounds that hold whatever the connection string says.</summary>
internal static class DatabaseSource
{
    /// <summary>
    /// Connections of one silo. A database takes a hundred by default, from all of its clients; after a death every silo wants to write at
    /// once, and what finds no connection waits in the silo.
    /// </summary>
    public const int MaxConnections = 16;

    /// <summary>Long enough for a server across a data center, short enough to find another host of the list.</summary>
    private const int ConnectTimeoutSeconds = 3;

    /// <summary>Of a statement. What takes longer counts as unknown, and callers go on as they do without the database.</summary>
    private const int CommandTimeoutSeconds = 5;

    /// <summary>How long the answer to a cancellation is awaited before the connection is given up.</summary>
    private const int CancellationTimeoutMs = 500;

    /// <summary>
    /// More than there are statements in use, so that each is parsed and planned once for a connection. A pooler between that knows no
    /// prepared statements needs <c>Max Auto Prepare=0</c> in the connection string.
    /// </summary>
    private const int PreparedStatements = 32;

    /// <summary>An idle connection that the network has forgotten is found before it is needed.</summary>
    private const int KeepAliveSeconds = 10;

    /// <param name="user">Told to the database, where it is seen in <c>pg_stat_activity</c>.</param>
    public static NpgsqlDataSource Create(string connectionString, string user)
    {
        NpgsqlConnectionStringBuilder settings = Parse(connectionString);
        settings.ApplicationName = user;
        settings.Pooling = true;
        settings.MaxPoolSize = Math.Min(settings.MaxPoolSize, MaxConnections);
        settings.MinPoolSize = Math.Min(settings.MinPoolSize, settings.MaxPoolSize);
        settings.Timeout = ConnectTimeoutSeconds;
        settings.CommandTimeout = CommandTimeoutSeconds;
        settings.CancellationTimeout = CancellationTimeoutMs;
        settings.KeepAlive = KeepAliveSeconds;
        settings.PersistSecurityInfo = false;
        if (!settings.ContainsKey("Max Auto Prepare"))
            settings.MaxAutoPrepare = PreparedStatements;

        if (settings.Host!.Contains(',') && settings.TargetSessionAttributes is null)
            settings.TargetSessionAttributes = "primary";

        return new NpgsqlDataSourceBuilder(settings.ConnectionString).Build();
    }

    /// <summary>Where the database is, for messages: host, port and name, and nothing secret.</summary>
    public static string Describe(string connectionString)
    {
        NpgsqlConnectionStringBuilder settings = Parse(connectionString);
        return $"{settings.Host}:{settings.Port}/{settings.Database ?? settings.Username}";
    }

    /// <exception cref="StartRefusedException">It is no connection string of PostgreSQL; the message does not repeat it.</exception>
    private static NpgsqlConnectionStringBuilder Parse(string connectionString)
    {
        try
        {
            var settings = new NpgsqlConnectionStringBuilder(connectionString);
            return !string.IsNullOrEmpty(settings.Host)
                ? settings
                : throw new StartRefusedException($"{BrokerConfigs.Database} names no Host; allowed: {Example}");
        }
        catch (Exception e) when (e is ArgumentException or FormatException or DbException or InvalidCastException)
        {
            // The messages of the parser name a keyword at most, never a value; but what is no keyword may be part of a password.
            throw new StartRefusedException(
                $"{BrokerConfigs.Database} is not a connection string of PostgreSQL; allowed: {Example}", e);
        }
    }

    private const string Example = "Host=db1,db2;Database=arus;Username=arus;Password=…, and other keywords of Npgsql";
}
