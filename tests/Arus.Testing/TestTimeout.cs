namespace Arus.Testing;

/// <summary>How long a test waits for what must come. A wait without a bound turns a regression into a hang.</summary>
public static class TestTimeout
{
    /// <summary>Long enough for a machine that is busy with everything else, short enough to be noticed.</summary>
    public static TimeSpan Value { get; } = TimeSpan.FromSeconds(30);

    /// <summary>A token that is cancelled after <see cref="Value"/>: for calls that a test makes once.</summary>
    public static CancellationToken Token => new CancellationTokenSource(Value).Token;
}
