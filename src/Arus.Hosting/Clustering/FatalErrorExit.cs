using System.Runtime.InteropServices;
using Orleans.Runtime;

namespace Arus.Hosting.Clustering;

/// <summary>
/// Ends the process where Orleans finds that its silo must not go on, above all when the others have declared it dead: partitions have
/// other leaders by then. Orleans' own handler serves on for two seconds and then aborts; here the system closes the listeners and
/// everything else at once. Thread-safe.
/// </summary>
internal sealed class FatalErrorExit : IFatalErrorHandler
{
    private const int ExitCode = 1;

    private int _isEnding;

    public bool IsUnexpected(Exception exception) => exception is not ThreadAbortException;

    public void OnFatalException(object? sender = null, string? context = null, Exception? exception = null)
    {
        if (Interlocked.Exchange(ref _isEnding, 1) != 0)
            return;

        Console.Error.WriteLine(Describe(sender, context, exception));
        if (OperatingSystem.IsWindows())
            Environment.Exit(ExitCode);
        else
            ExitNow(ExitCode);
    }

    /// <summary>One line: what Orleans says, which may have several.</summary>
    internal static string Describe(object? sender, string? context, Exception? exception)
    {
        string reason = string.Join(": ", new[] { context, exception?.Message }.Where(part => !string.IsNullOrEmpty(part)));
        string where = sender?.GetType().Name ?? "Orleans";
        return $"Arus ends, for its silo cannot go on ({where}): {reason.ReplaceLineEndings(" ")}";
    }

    /// <summary>Runs no handlers of the process' exit: they could wait, and other threads would serve meanwhile.</summary>
    [DllImport("libc", EntryPoint = "_exit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern void ExitNow(int code);
}
