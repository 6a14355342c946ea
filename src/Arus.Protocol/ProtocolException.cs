namespace Arus.Protocol;

/// <summary>
/// Bytes that are no message, or a message that its version cannot say. A connection that sent such bytes is to be closed.
/// </summary>
public sealed class ProtocolException(string problem, string? message = null, short version = -1, string? field = null)
    : Exception(message is null ? problem : $"{message} v{version}{(string.IsNullOrEmpty(field) ? "" : $", field {field}")}: {problem}")
{
    /// <summary>The name of the message, such as "FetchRequest"; null when it is not known yet.</summary>
    public string? MessageName { get; } = message;

    /// <summary>-1 when it is not known yet.</summary>
    public short Version { get; } = version;

    /// <summary>The field by its path, such as "Topics.Partitions.FetchOffset"; null or empty for the message as a whole.</summary>
    public string? Field { get; } = field;

    internal static void ThrowIfUnknown(string message, short minVersion, short maxVersion, short version)
    {
        if (version < minVersion || version > maxVersion)
        {
            throw new ProtocolException($"the version is not one of {minVersion} to {maxVersion}", message, version);
        }
    }
}
