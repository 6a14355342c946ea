namespace Arus.Protocol;

/// <summary>
/// A request or a response. Messages are plain data and not thread-safe. A field that a version lacks is not written and keeps
/// its default when read.
/// </summary>
public interface IApiMessage
{
    ApiDescriptor Api { get; }

    bool IsRequest { get; }

    /// <summary>Writes the body, without size and header.</summary>
    /// <exception cref="ProtocolException">The version is not known, or cannot say what the message holds.</exception>
    void Write(ref WireWriter writer, short version);
}

/// <inheritdoc/>
public interface IApiMessage<TSelf> : IApiMessage
    where TSelf : IApiMessage<TSelf>
{
    static abstract ApiDescriptor Descriptor { get; }

    /// <summary>Reads the body. Byte fields are slices of the reader's frame. Bytes after the message are left alone, as Kafka does.</summary>
    /// <exception cref="ProtocolException">The version is not known, or the bytes are not such a message.</exception>
    static abstract TSelf Read(ref WireReader reader, short version);
}

/// <summary>A request, with the type of its response.</summary>
public interface IApiRequest<TSelf, TResponse> : IApiMessage<TSelf>
    where TSelf : IApiRequest<TSelf, TResponse>
    where TResponse : IApiMessage<TResponse>
{
}
