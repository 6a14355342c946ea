using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;

namespace Arus.Chaos;

/// <summary>A broker as a process in its namespace. Its output is appended to a file over all its lives.</summary>
/// <param name="id">From 1.</param>
/// <param name="directory">The broker's own; its log lies in <see cref="LogDirectory"/>.</param>
/// <param name="command">Asked anew at every start.</param>
/// <param name="ended">Called, on a pool thread, when a process ends that nobody ended; with its exit code.</param>
internal sealed partial class Broker(int id, string directory, Func<Broker, BrokerCommand> command, Action<Broker, int> ended)
{
    public const int KafkaPort = 9092;
    public const int HttpPort = 8080;
    public const int SiloPort = 11111;
    public const int GatewayPort = 30000;

    private const int SigContinue = 18;
    private const int SigStop = 19;
    private const int SigTerminate = 15;

    private static readonly TimeSpan KillLimit = TimeSpan.FromSeconds(30);

    /// <summary>So that the end of a process is not told before it is known to be this broker's.</summary>
    private readonly Lock _starting = new();
    private volatile Process? _process;
    private volatile bool _isToRun;

    public int Id => id;

    public IPAddress Address { get; } = Network.Address(id);

    public string HomeDirectory => directory;

    public string LogDirectory => Path.Combine(directory, "log");

    public string OutputFile => Path.Combine(directory, "output.txt");

    public bool IsRunning => _process is { HasExited: false };

    /// <summary>Whether it is meant to run: false between a fault that ended it and the start that ends the fault.</summary>
    public bool IsToRun => _isToRun;

    /// <summary>How often it was started.</summary>
    public int Starts { get; private set; }

    public int ProcessId => _process?.Id ?? 0;

    public void Start()
    {
        BrokerCommand started = command(this);
        // The redirection is the shell's, since output of a paused or dying process must not depend on this one; each program becomes the
        // next, so the process is the broker's.
        const string Script = "out=$0; net=$1; shift; exec nsenter --net=\"/run/netns/$net\" \"$@\" >>\"$out\" 2>&1";
        string[] arguments = ["-c", Script, OutputFile, Network.Namespace(id), started.Program, .. started.Arguments];
        var start = new ProcessStartInfo("sh", arguments) { WorkingDirectory = directory };
        foreach ((string name, string value) in started.Environment)
            start.Environment[name] = value;

        _isToRun = true;
        var process = new Process { StartInfo = start, EnableRaisingEvents = true };
        process.Exited += (_, _) => OnExited(process);
        using (_starting.EnterScope())
        {
            // Others ask at any time whether it runs, which only a process answers that was started and is not disposed of.
            process.Start();
            _process = process;
        }

        Starts++;
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        _isToRun = false;
        if (_process is not { } process)
            return;

        process.Kill();
        await process.WaitForExitAsync().WaitAsync(KillLimit);
    }

    /// <summary>SIGTERM; the exit code, or null if it did not end within the limit and was killed.</summary>
    public async Task<int?> StopAsync(TimeSpan limit)
    {
        _isToRun = false;
        if (_process is not { HasExited: false } process)
            return _process?.ExitCode;

        Signal(SigTerminate);
        try
        {
            await process.WaitForExitAsync().WaitAsync(limit);
            return process.ExitCode;
        }
        catch (TimeoutException)
        {
            await KillAsync();
            return null;
        }
    }

    public void Pause() => Signal(SigStop);

    public void Resume() => Signal(SigContinue);

    /// <summary>Processor time of this life, and memory that is in use now.</summary>
    public (TimeSpan Processor, long ResidentBytes) Usage()
    {
        if (_process is not { HasExited: false } process)
            return default;

        process.Refresh();
        return (process.TotalProcessorTime, process.WorkingSet64);
    }

    private void OnExited(Process process)
    {
        using (_starting.EnterScope())
        {
            if (!_isToRun || !ReferenceEquals(process, _process))
                return;
        }

        ended(this, process.ExitCode);
    }

    private void Signal(int signal)
    {
        if (IsRunning)
            _ = SendSignal(ProcessId, signal);
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int process, int signal);
}
