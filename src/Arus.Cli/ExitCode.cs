namespace Arus.Cli;

/// <summary>What <c>arus</c> answers to the shell. Scripts rely on these numbers.</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>The cluster refused, or the work failed.</summary>
    public const int Failure = 1;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 2;

    /// <summary>No silo could be reached.</summary>
    public const int Unreachable = 3;

    /// <summary>Interrupted by Ctrl+C, as shells count it.</summary>
    public const int Interrupted = 130;
}
