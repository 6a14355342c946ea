using System.Diagnostics;

namespace Arus.Testing;

/// <summary>A running <c>postgres</c>, and the programs around it, each as a user that it accepts.</summary>
internal sealed class PostgresProcess : IDisposable
{
    private const string ReadyMessage = "database system is ready to accept connections";

    /// <summary>
    /// Ends the server and removes the directory when its input ends: by the owner's wish, or because the owner died. Signals of a
    /// terminal are for the others of its group.
    /// </summary>
    private const string KeeperScript = """
        trap '' INT TERM HUP
        cat >/dev/null
        if server=$(head -n 1 "$2/postmaster.pid" 2>/dev/null); then
          kill -QUIT "$server"
          while kill -0 "$server"; do sleep 0.05; done
        fi
        rm -rf "$1"
        """;

    /// <summary>For what takes a second or two of the processor, which others may want at the same time.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly Process _process;
    private readonly List<string> _log = [];
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private PostgresProcess(string[] settings, string directory)
    {
        _process = new Process { StartInfo = AsServerUser(directory, "postgres", settings), EnableRaisingEvents = true };
        _process.ErrorDataReceived += (_, line) => OnLine(line.Data);
        _process.Exited += (_, _) => _ready.TrySetException(new InvalidOperationException("PostgreSQL ended as it started"));
        _process.Start();
        _process.BeginErrorReadLine();
    }

    public static async Task<PostgresProcess> StartAsync(string[] settings, string directory)
    {
        var server = new PostgresProcess(settings, directory);
        try
        {
            await server._ready.Task.WaitAsync(Patience);
            return server;
        }
        catch (Exception e)
        {
            if (!server._process.HasExited)
                await server.KillAsync();

            await server._process.WaitForExitAsync(TestTimeout.Token);
            string log = string.Join('\n', server._log);
            server.Dispose();
            throw new InvalidOperationException($"PostgreSQL did not start: {e.Message}\n{log}", e);
        }
    }

    public static Process StartKeeper(string directory, string dataDirectory) => Process.Start(
        new ProcessStartInfo("sh", ["-c", KeeperScript, "keeper", directory, dataDirectory])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
        })!;

    /// <summary>Gives files to the user of the server.</summary>
    public static async Task GiveAsync(string directory)
    {
        if (PostgresBinaries.User is { } user)
            await RunAsync(new ProcessStartInfo("chown", ["-R", user, directory]));
    }

    /// <summary>Runs one of PostgreSQL's programs to its end.</summary>
    /// <exception cref="InvalidOperationException">Its exit code is not 0; the message has what it wrote.</exception>
    public static Task RunAsync(string directory, string program, params string[] arguments) =>
        RunAsync(AsServerUser(directory, program, arguments));

    /// <summary>SIGINT: a fast shutdown.</summary>
    public async Task InterruptAsync()
    {
        await RunAsync(new ProcessStartInfo("sh", ["-c", "kill -INT \"$1\"", "kill", $"{_process.Id}"]));
        await _process.WaitForExitAsync(TestTimeout.Token);
    }

    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync(TestTimeout.Token);
    }

    public void Dispose() => _process.Dispose();

    private static async Task RunAsync(ProcessStartInfo start)
    {
        (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync().WaitAsync(Patience);
        await process.WaitForExitAsync(TestTimeout.Token);
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{start.FileName} ended with {process.ExitCode}: {await output}{error}");
    }

    private static ProcessStartInfo AsServerUser(string directory, string program, string[] arguments)
    {
        string path = Path.Combine(PostgresBinaries.Folder!, program);
        ProcessStartInfo start = PostgresBinaries.User is { } user
            ? new("setpriv", [$"--reuid={user}", $"--regid={GroupOf(user)}", "--clear-groups", path, .. arguments])
            : new(path, arguments);
        (start.WorkingDirectory, start.RedirectStandardError) = (directory, true);
        start.Environment["LC_ALL"] = "C";
        return start;
    }

    private static string GroupOf(string user) =>
        File.ReadLines("/etc/passwd").First(line => line.StartsWith($"{user}:", StringComparison.Ordinal)).Split(':')[3];

    private void OnLine(string? line)
    {
        if (line is null)
            return;

        _log.Add(line);
        if (line.Contains(ReadyMessage, StringComparison.Ordinal))
            _ready.TrySetResult();
    }
}
