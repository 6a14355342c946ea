using System.Buffers;
using Arus.Protocol;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Cloning;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.Configuration;
using Orleans.Serialization.WireProtocol;

[assembly: TypeManifestProvider(typeof(Arus.Grains.MessageManifest))]

namespace Arus.Grains;

/// <summary>Carries Kafka's messages in grain calls: two bytes of version, then the bytes of the wire, which golden tests freeze.</summary>
/// <remarks>
/// Within a silo a message is not copied. So it is immutable by convention once it is sent: the sender leaves a request alone until it is
/// answered and a response for good; the receiver may keep what a message holds, but not the message.
/// </remarks>
public sealed class MessageCodec<T> : IFieldCodec<T>, IDeepCopier<T>
    where T : class, IApiMessage<T>
{
    /// <summary>The last version of OffsetCommit and OffsetFetch that names topics; later ones have their ids alone.</summary>
    private const short LastWithTopicNames = 9;

    private static readonly short Version =
        T.Descriptor.Key is ApiKey.OffsetCommit or ApiKey.OffsetFetch ? LastWithTopicNames : T.Descriptor.MaxVersion;

    /// <inheritdoc/>
    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, T? value)
        where TBufferWriter : IBufferWriter<byte>
    {
        if (ReferenceCodec.TryWriteReferenceField(ref writer, fieldIdDelta, expectedType, value))
            return;

        var bytes = new ArrayBufferWriter<byte>();
        var wire = new WireWriter(bytes);
        wire.WriteInt16(Version);
        value!.Write(ref wire, Version);
        wire.Flush();
        writer.WriteFieldHeader(fieldIdDelta, expectedType, typeof(T), WireType.LengthPrefixed);
        writer.WriteVarUInt32((uint)bytes.WrittenCount);
        writer.Write(bytes.WrittenSpan);
    }

    /// <inheritdoc/>
    /// <exception cref="ProtocolException">The bytes are no such message, or of a version that this build does not know.</exception>
    public T? ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        if (field.IsReference)
            return ReferenceCodec.ReadReference<T, TInput>(ref reader, field);

        field.EnsureWireType(WireType.LengthPrefixed);
        var wire = new WireReader(reader.ReadBytes(reader.ReadVarUInt32()));
        T value = T.Read(ref wire, wire.ReadInt16("Version"));
        ReferenceCodec.RecordObject(reader.Session, value);
        return value;
    }

    /// <inheritdoc/>
    public T? DeepCopy(T? input, CopyContext context) => input;
}

/// <summary>Tells Orleans of the codec of every message, in every process that loads this assembly.</summary>
internal sealed class MessageManifest : TypeManifestProviderBase
{
    protected override void ConfigureInner(TypeManifestOptions options)
    {
        IEnumerable<Type> messages =
            typeof(IApiMessage).Assembly.GetTypes().Where(type => type.IsClass && typeof(IApiMessage).IsAssignableFrom(type));
        foreach (Type message in messages)
        {
            Type codec = typeof(MessageCodec<>).MakeGenericType(message);
            options.Serializers.Add(codec);
            options.Copiers.Add(codec);
            options.WellKnownTypeAliases.Add($"kafka.{message.Name}", message);
        }

        foreach (Type message in (Type[])[typeof(PartitionStates), typeof(ReplicaSessionRequest), typeof(ReplicaSessionResponse),
            typeof(ReplicaPushRequest), typeof(ReplicaPushResponse)])
        {
            Type codec = typeof(DataMessageCodec<>).MakeGenericType(message);
            options.Serializers.Add(codec);
            options.Copiers.Add(codec);
            options.WellKnownTypeAliases.Add($"arus.{message.Name}", message);
        }
    }
}

/// <summary>Carries <see cref="Caller"/>; Protocol itself knows no Orleans.</summary>
[GenerateSerializer, Immutable, Alias("arus.Caller")]
public struct CallerSurrogate
{
    [Id(0)]
    public string ClientId;

    [Id(1)]
    public string ClientHost;

    [Id(2)]
    public short ApiVersion;
}

[RegisterConverter]
public sealed class CallerConverter : IConverter<Caller, CallerSurrogate>
{
    public Caller ConvertFromSurrogate(in CallerSurrogate surrogate) => new(surrogate.ClientId, surrogate.ClientHost, surrogate.ApiVersion);

    public CallerSurrogate ConvertToSurrogate(in Caller value) =>
        new() { ClientId = value.ClientId, ClientHost = value.ClientHost, ApiVersion = value.ApiVersion };
}
