namespace Arus.Grains;

/// <summary>
/// The id that the cluster has before its first broker registers, where its database gave it one. Set as the broker starts; safe for use
/// by any thread.
/// </summary>
internal sealed class ClusterIdentity
{
    private volatile string? _clusterId;

    /// <summary>Null where the first broker that registers chooses.</summary>
    public string? ClusterId
    {
        get => _clusterId;
        set => _clusterId = value;
    }

    /// <summary>22 characters: 16 random bytes in URL-safe base64, as Kafka writes cluster ids.</summary>
    public static string NewId() => System.Buffers.Text.Base64Url.EncodeToString(Guid.NewGuid().ToByteArray());
}
