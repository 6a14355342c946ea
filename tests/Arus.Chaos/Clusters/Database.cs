using Arus.Testing;

namespace Arus.Chaos;

/// <summary>The PostgreSQL of a cluster, at an address that the brokers reach. Not safe for concurrent use.</summary>
internal sealed class Database : IAsyncDisposable
{
    private readonly PostgresServer _server;
    private bool _isRunning = true;

    private Database(PostgresServer server, string connectionString) =>
        (_server, ConnectionString) = (server, connectionString);

    /// <summary>With the password.</summary>
    public string ConnectionString { get; }

    public static async Task<Database> CreateAsync()
    {
        PostgresServer server = await PostgresServer.StartNewAsync(fsync: true, Network.Database);
        return new Database(server, await server.CreateDatabaseAsync());
    }

    /// <summary>Ends it in order, or as a crash would.</summary>
    public async Task StopAsync(bool isCrash)
    {
        if (!_isRunning)
            return;

        _isRunning = false;
        await (isCrash ? _server.KillAsync() : _server.StopAsync());
    }

    public async Task StartAsync()
    {
        if (_isRunning)
            return;

        await _server.StartAsync();
        _isRunning = true;
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();
}
