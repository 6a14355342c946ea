namespace Arus.Client;

/// <summary>What all parts of the client share.</summary>
public sealed class ArusClientOptions
{
    /// <summary>Named to the cluster, in member ids and descriptions of groups (<c>client.id</c>).</summary>
    public string ClientId { get; set; } = "arus";

    /// <summary><c>default.api.timeout.ms</c>: how long one operation may take, retries included.</summary>
    public TimeSpan DefaultApiTimeout { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary><c>retry.backoff.ms</c>: the pause before the first retry; it doubles up to <see cref="RetryBackoffMax"/>.</summary>
    public TimeSpan RetryBackoff { get; set; } = TimeSpan.FromMilliseconds(50);

    /// <summary><c>retry.backoff.max.ms</c>.</summary>
    public TimeSpan RetryBackoffMax { get; set; } = TimeSpan.FromSeconds(1);
}

internal static class OptionChecks
{
    /// <exception cref="ArgumentException"><paramref name="condition"/> is false.</exception>
    public static void Check(bool condition, string key, string range)
    {
        if (!condition)
            throw new ArgumentException($"Option {key} must be {range}.");
    }
}
