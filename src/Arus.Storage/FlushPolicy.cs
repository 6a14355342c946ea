using System.Globalization;

namespace Arus.Storage;

public enum FlushMode
{
    /// <summary>fsync with every group commit, before it is acknowledged: no crash loses anything acknowledged.</summary>
    Always = 0,

    /// <summary>fsync every so many milliseconds: a crash of the process loses nothing, a crash of the machine what came since.</summary>
    Interval = 1,

    /// <summary>
    /// The operating system writes back when it likes, as Kafka does by default: a crash of the process loses nothing, a crash of the
    /// machine loses what it had not written back, commonly up to 30 s.
    /// </summary>
    Os = 2,
}

/// <summary>When appended records reach stable storage: the key <c>arus.flush</c>.</summary>
/// <param name="IntervalMs">Milliseconds; 0 unless the mode is <see cref="FlushMode.Interval"/>.</param>
public readonly record struct FlushPolicy(FlushMode Mode, int IntervalMs)
{
    public static FlushPolicy Always => new(FlushMode.Always, 0);

    public static FlushPolicy Os => new(FlushMode.Os, 0);

    public static FlushPolicy Interval(int milliseconds) => new(FlushMode.Interval, milliseconds);

    /// <summary>Reads the value of <c>arus.flush</c>: <c>always</c>, <c>os</c> or <c>interval:&lt;ms&gt;</c>.</summary>
    /// <exception cref="FormatException">It is none of them; the message says what is allowed.</exception>
    public static FlushPolicy Parse(string text) => text switch
    {
        "always" => Always,
        "os" => Os,
        _ when FlushPolicyText.TryGetInterval(text, out TimeSpan interval) => new(FlushMode.Interval, (int)interval.TotalMilliseconds),
        _ => throw new FormatException($"'{text}' is not a flush policy; allowed: always, os, interval:<milliseconds>."),
    };

    public override string ToString() => Mode switch
    {
        FlushMode.Always => "always",
        FlushMode.Os => "os",
        _ => string.Create(CultureInfo.InvariantCulture, $"interval:{IntervalMs}"),
    };
}
