namespace Arus.Protocol;

/// <summary>
/// Bytes that are not the message they should be, or a message with values that its version has no room for. A connection that sent
/// such bytes is closed.
/// </summary>
/// <param name="message">The name of the message, such as "FetchRequest"; null when it is not known yet.</param>
/// <param name="field">The field by its path, such as "Topics.Partitions.FetchOffset"; null or empty for the message as a whole.</param>
public sealed class ProtocolException(string problem, string? message = null, short version = -1, string? field = null)
    : Exception(message is null ? problem : $"{message} v{version}{(string.IsNullOrEmpty(field) ? "" : $", field {field}")}: {problem}")
{
    internal static void ThrowIfUnknown(string message, short minVersion, short maxVersion, short version)
    {
        if (version < minVersion || version > maxVersion)
            throw new ProtocolException($"the version is not one of {minVersion} to {maxVersion}", message, version);
    }
}
