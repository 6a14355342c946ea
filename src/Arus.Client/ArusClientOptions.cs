namespace Arus.Client;

/// <summary>What all parts of the client share.</summary>
public sealed class ArusClientOptions
{
    /// <summary>Named to the cluster, in member ids and descriptions of groups (<c>client.id</c>).</summary>
    public string ClientId { get; set; } = "arus";

    /// <summary>How long one operation may take with all its repetitions, in milliseconds (<c>default.api.timeout.ms</c>).</summary>
    public int DefaultApiTimeoutMs { get; set; } = 60_000;

    /// <summary>The pause before the first repetition, in milliseconds; it doubles each time (<c>retry.backoff.ms</c>).</summary>
    public int RetryBackoffMs { get; set; } = 50;

    /// <summary>The longest pause between repetitions, in milliseconds (<c>retry.backoff.max.ms</c>).</summary>
    public int RetryBackoffMaxMs { get; set; } = 1_000;
}
