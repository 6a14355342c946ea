using System.Diagnostics;

namespace Arus.Chaos;

/// <summary>Runs programs of the system to their end.</summary>
internal static class Shell
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <exception cref="ChaosException">Its exit code is not 0; the message has what it wrote.</exception>
    public static async Task<string> RunAsync(string program, params string[] arguments)
    {
        (int code, string output) = await TryAsync(program, arguments);
        return code == 0 ? output : throw new ChaosException($"{program} {string.Join(' ', arguments)} ended with {code}: {output.Trim()}");
    }

    public static async Task<(int Code, string Output)> TryAsync(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        using var deadline = new CancellationTokenSource(Limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(deadline.Token);
        string error = await process.StandardError.ReadToEndAsync(deadline.Token);
        await process.WaitForExitAsync(deadline.Token);
        return (process.ExitCode, await output + error);
    }
}

/// <summary>What keeps a run from going on; the message is for the person who started it.</summary>
internal sealed class ChaosException(string message, Exception? innerException = null) : Exception(message, innerException);
