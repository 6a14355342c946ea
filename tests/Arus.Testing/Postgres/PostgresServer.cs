using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Arus.Testing;

/// <summary>
/// A PostgreSQL of a test's own, on a free port of the loopback address (or another) and a temporary directory; both go with it, also when
/// the process of the tests is killed. May be stopped and started again, under the same port. Not safe for concurrent use, but
/// <see cref="CreateDatabaseAsync"/> is.
/// </summary>
public sealed class PostgresServer : IAsyncDisposable
{
    private const string Superuser = "arus";
    private const int StartAttempts = 5;

    private static readonly Lazy<Task<PostgresServer>> Common = new(() => StartNewAsync());

    private readonly string _directory;
    private readonly IPAddress _address;
    private readonly bool _fsync;
    private readonly Process _keeper;
    private readonly string _password = Guid.NewGuid().ToString("N");
    private PostgresProcess? _server;
    private int _databases;

    private PostgresServer(string directory, IPAddress address, bool fsync)
    {
        (_directory, _address, _fsync) = (directory, address, fsync);
        _keeper = PostgresProcess.StartKeeper(directory, DataDirectory);
    }

    public int Port { get; private set; }

    /// <summary>Of the database that every server has; with its password, and without pooling.</summary>
    public string ConnectionString => ConnectionStringOf("postgres");

    private string DataDirectory => Path.Combine(_directory, "data");

    /// <summary>The server that all tests of this process share, each with a database of its own. Nobody stops it.</summary>
    public static Task<PostgresServer> SharedAsync() => Common.Value;

    /// <param name="fsync">Whether commits are forced to disk; without it tests are faster.</param>
    /// <param name="address">Where it listens; null for the loopback address. Elsewhere it takes whoever has the password.</param>
    /// <exception cref="InvalidOperationException">There is no PostgreSQL here, or it did not start; the message says why.</exception>
    public static async Task<PostgresServer> StartNewAsync(bool fsync = false, IPAddress? address = null)
    {
        if (PostgresBinaries.Missing is { } reason)
            throw new InvalidOperationException(reason);

        string directory = Directory.CreateTempSubdirectory("arus-pg-").FullName;
        var server = new PostgresServer(directory, address ?? IPAddress.Loopback, fsync);
        try
        {
            await server.InitializeAsync();
            for (int attempt = 1; ; attempt++)
            {
                server.Port = FreePort(server._address);
                try
                {
                    await server.StartAsync();
                    return server;
                }
                catch (InvalidOperationException) when (attempt < StartAttempts)
                {
                    // Another process was faster to take the port.
                    Debug.WriteLine($"port {server.Port} is taken");
                }
            }
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts it after it was stopped or killed, and waits until it accepts connections.</summary>
    public async Task StartAsync()
    {
        // Of the levels of the log, "log" leaves out errors of statements, which tests make on purpose.
        string[] settings =
        [
            "-D", DataDirectory, "-p", $"{Port}", "-c", $"listen_addresses={_address}", "-c", $"unix_socket_directories={_directory}",
            "-c", $"fsync={(_fsync ? "on" : "off")}", "-c", "max_connections=200", "-c", "log_min_messages=log",
        ];
        _server = await PostgresProcess.StartAsync(settings, _directory);
    }

    /// <summary>Ends it in order; what is connected is cut off.</summary>
    public Task StopAsync() => EndAsync(server => server.InterruptAsync());

    /// <summary>Ends it by SIGKILL, as a crash would. What was committed is there after the next start.</summary>
    public Task KillAsync() => EndAsync(server => server.KillAsync());

    /// <summary>Makes a database that is empty, and answers its connection string. Safe for use by any thread.</summary>
    public async Task<string> CreateDatabaseAsync()
    {
        string name = $"test_{Interlocked.Increment(ref _databases)}";
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(ConnectionString);
        await using NpgsqlCommand create = source.CreateCommand($"CREATE DATABASE {name}");
        await create.ExecuteNonQueryAsync(TestTimeout.Token);
        return ConnectionStringOf(name);
    }

    public async ValueTask DisposeAsync()
    {
        // The keeper ends the server if it runs, and removes the directory.
        _keeper.StandardInput.Close();
        await _keeper.WaitForExitAsync(TestTimeout.Token);
        _keeper.Dispose();
        _server?.Dispose();
    }

    private string ConnectionStringOf(string database) => new NpgsqlConnectionStringBuilder
    {
        Host = $"{_address}",
        Port = Port,
        Username = Superuser,
        Password = _password,
        Database = database,
        Pooling = false,
    }.ConnectionString;

    private async Task InitializeAsync()
    {
        string passwordFile = Path.Combine(_directory, "password");
        await File.WriteAllTextAsync(passwordFile, _password);
        await PostgresProcess.GiveAsync(_directory);
        await PostgresProcess.RunAsync(
            _directory, "initdb", "-D", DataDirectory, "-U", Superuser, "--auth=scram-sha-256", $"--pwfile={passwordFile}", "-E", "UTF8",
            "--locale=C", "--no-sync");
        if (!IPAddress.IsLoopback(_address))
            await File.AppendAllTextAsync(Path.Combine(DataDirectory, "pg_hba.conf"), "host all all all scram-sha-256\n");
    }

    private async Task EndAsync(Func<PostgresProcess, Task> end)
    {
        if (_server is null)
            return;

        await end(_server);
        _server.Dispose();
        _server = null;
    }

    private static int FreePort(IPAddress address)
    {
        using var listener = new TcpListener(address, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
