namespace Arus.Protocol;

/// <summary>Bytes that are no message, or a message that its version cannot say. The connection that sent it is to be closed.</summary>
public sealed class ProtocolException : Exception
{
    public ProtocolException(string message, string? api = null, short version = -1, string? field = null)
        : base(api is null ? message : $"{api} v{version}{(string.IsNullOrEmpty(field) ? "" : $", field {field}")}: {message}")
    {
        Api = api;
        Version = version;
        Field = field;
    }

    /// <summary>The message, such as "FetchRequest"; null when it is not known yet.</summary>
    public string? Api { get; }

    /// <summary>-1 when it is not known yet.</summary>
    public short Version { get; }

    /// <summary>The field by its path, such as "Topics.Partitions.FetchOffset"; null or empty for the message as a whole.</summary>
    public string? Field { get; }
}
