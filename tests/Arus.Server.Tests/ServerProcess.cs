using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Configuration;

namespace Arus.Server.Tests;

/// <summary>The server as a process of its own, on free ports and a directory of its own, and a client of it.</summary>
internal sealed partial class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>This checkout's server, or another build of it, from which fixtures are made.</summary>
    private static readonly string Program =
        Environment.GetEnvironmentVariable("FIXTURE_SERVER") ?? Path.Combine(AppContext.BaseDirectory, "Arus.Server.dll");

    private readonly Process _process;
    private readonly List<string> _output = [];
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IHost? _client;

    private ServerProcess(Ports ports, string directory, (string Name, string Value)[] variables, string[] flags)
    {
        ServerPorts = ports;
        string[] all =
        [
            "exec", Program, $"--log.dir={directory}", $"--listeners=PLAINTEXT://127.0.0.1:{ports.Kafka}",
            $"--arus.http.endpoint=127.0.0.1:{ports.Http}", $"--orleans.silo.port={ports.Silo}",
            $"--orleans.gateway.port={ports.Gateway}", .. flags,
        ];
        _process = new Process
        {
            StartInfo = new ProcessStartInfo("dotnet", all) { RedirectStandardOutput = true, RedirectStandardError = true },
            EnableRaisingEvents = true,
        };
        foreach ((string name, string value) in variables)
            _process.StartInfo.Environment[name] = value;

        _process.OutputDataReceived += (_, line) => OnLine(line.Data);
        _process.ErrorDataReceived += (_, line) => OnLine(line.Data);
        _process.Exited += (_, _) => _ready.TrySetException(new InvalidOperationException($"The server ended:\n{Output}"));
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public Ports ServerPorts { get; }

    public int ProcessId => _process.Id;

    public string Output
    {
        get
        {
            lock (_output)
                return string.Join('\n', _output);
        }
    }

    /// <summary>Starts one and waits until it says that it is ready.</summary>
    public static Task<ServerProcess> StartAsync(Ports ports, string directory, params string[] flags) =>
        StartAsync(ports, directory, [], flags);

    /// <param name="variables">Of the environment.</param>
    public static async Task<ServerProcess> StartAsync(
        Ports ports, string directory, (string Name, string Value)[] variables, params string[] flags)
    {
        var server = new ServerProcess(ports, directory, variables, flags);
        try
        {
            await server._ready.Task.WaitAsync(Patience);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs one that is expected to refuse.</summary>
    public static Task<(int ExitCode, string Output)> RunAsync(Ports ports, string directory, params string[] flags) =>
        RunAsync(ports, directory, [], flags);

    /// <inheritdoc cref="RunAsync(Ports, string, string[])"/>
    /// <param name="variables">Of the environment.</param>
    public static async Task<(int ExitCode, string Output)> RunAsync(
        Ports ports, string directory, (string Name, string Value)[] variables, params string[] flags)
    {
        await using var server = new ServerProcess(ports, directory, variables, flags);
        int code = await server.WaitForExitAsync();
        return (code, server.Output);
    }

    public async Task<string> GetAsync(string path)
    {
        using var http = new HttpClient { Timeout = Patience };
        return await http.GetStringAsync(new Uri($"http://127.0.0.1:{ServerPorts.Http}{path}"));
    }

    public async Task<IGrainFactory> ConnectAsync()
    {
        _client = new HostBuilder()
            .UseOrleansClient(client => client
                .UseLocalhostClustering(ServerPorts.Gateway, "arus", "arus")
                .Configure<ClientMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromSeconds(15)))
            .Build();
        await _client.StartAsync();
        return _client.Services.GetRequiredService<IClusterClient>();
    }

    /// <summary>Memory of the process that is in use, in bytes.</summary>
    public long WorkingSet
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    public void Kill() => _process.Kill();

    /// <summary>SIGTERM, as a service manager sends it.</summary>
    public void Terminate() => Assert.Equal(0, SendSignal(_process.Id, 15));

    /// <summary>SIGSTOP: the process is there, and does nothing.</summary>
    public void Pause() => Assert.Equal(0, SendSignal(_process.Id, 19));

    /// <summary>SIGCONT.</summary>
    public void Resume() => Assert.Equal(0, SendSignal(_process.Id, 18));

    public async Task<int> WaitForExitAsync()
    {
        using var deadline = new CancellationTokenSource(Patience);
        await _process.WaitForExitAsync(deadline.Token);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (_client is not null)
        {
            // Its server may be gone, which the client finds out as it stops.
            using var briefly = new CancellationTokenSource(TimeSpan.FromSeconds(2));
            try
            {
                await _client.StopAsync(briefly.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or OrleansException)
            {
                Debug.WriteLine(e.Message);
            }

            _client.Dispose();
        }

        if (!_process.HasExited)
        {
            _process.Kill();
            await WaitForExitAsync();
        }

        _process.Dispose();
    }

    private void OnLine(string? line)
    {
        if (line is null)
            return;

        lock (_output)
            _output.Add(line);

        if (line.Contains(" is ready after ", StringComparison.Ordinal))
            _ready.TrySetResult();
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int process, int signal);

    /// <summary>Ports that were free a moment ago.</summary>
    internal sealed record Ports(int Kafka, int Http, int Silo, int Gateway)
    {
        public static Ports Free()
        {
            TcpListener[] listeners = [.. Enumerable.Range(0, 4).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
            Array.ForEach(listeners, listener => listener.Start());
            int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
            Array.ForEach(listeners, listener => listener.Stop());
            return new Ports(ports[0], ports[1], ports[2], ports[3]);
        }
    }
}
