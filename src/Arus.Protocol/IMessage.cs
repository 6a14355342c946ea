namespace Arus.Protocol;

/// <summary>A request, response or data message. Not thread-safe. A field that a version lacks is not written, nor set when read.</summary>
public interface IMessage
{
    /// <summary>Writes the body, without size, header or version.</summary>
    /// <exception cref="ProtocolException">The version is not known, or has no room for what the message holds.</exception>
    void Write(ref WireWriter writer, short version);
}

/// <inheritdoc/>
public interface IMessage<TSelf> : IMessage
    where TSelf : IMessage<TSelf>
{
    /// <summary>Reads the body. Byte fields are slices of the reader's frame. Bytes after the message are not read, as in Kafka.</summary>
    /// <exception cref="ProtocolException">The version is not known, or the bytes are not such a message.</exception>
    static abstract TSelf Read(ref WireReader reader, short version);
}

/// <summary>A message without an API, embedded in requests or stored; <see cref="DataMessages"/> makes whole bytes of it.</summary>
public interface IDataMessage<TSelf> : IMessage<TSelf>
    where TSelf : IDataMessage<TSelf>
{
    static abstract short MinVersion { get; }

    static abstract short MaxVersion { get; }
}

/// <summary>A request or a response.</summary>
public interface IApiMessage : IMessage
{
    ApiDescriptor Api { get; }

    bool IsRequest { get; }
}

/// <inheritdoc/>
public interface IApiMessage<TSelf> : IApiMessage, IMessage<TSelf>
    where TSelf : IApiMessage<TSelf>
{
    static abstract ApiDescriptor Descriptor { get; }
}

/// <summary>A request, with the type of its response.</summary>
public interface IApiRequest<TSelf, TResponse> : IApiMessage<TSelf>
    where TSelf : IApiRequest<TSelf, TResponse>
    where TResponse : IApiMessage<TResponse>
{
}
