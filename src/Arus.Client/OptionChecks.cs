namespace Arus.Client;

internal static class OptionChecks
{
    /// <exception cref="ArgumentException"><paramref name="condition"/> is false.</exception>
    public static void Check(bool condition, string key, string range)
    {
        if (!condition)
            throw new ArgumentException($"Option {key} must be {range}.");
    }
}
