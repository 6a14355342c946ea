namespace Arus.Client;

/// <summary>The pause before a repetition: <paramref name="first"/>, and twice as long each time, up to <paramref name="max"/>.</summary>
internal readonly struct ExponentialBackoff(TimeSpan first, TimeSpan max)
{
    /// <param name="attempt">1 for the first repetition.</param>
    public TimeSpan Of(int attempt) => TimeSpan.FromTicks((long)Math.Min(first.Ticks * Math.Pow(2, Math.Min(30, attempt - 1)), max.Ticks));
}
