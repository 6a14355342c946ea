using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Arus.Client;

/// <summary>
/// Kafka's embedded formats of protocol type <c>consumer</c>: what members say in a join, and what the leader gives each in a sync
/// (Kafka source tree, <c>ConsumerProtocolSubscription.json</c> and <c>ConsumerProtocolAssignment.json</c>). Unlike requests they
/// are never in the flexible encoding. Readers take any version and skip what a later one appended.
/// </summary>
public static class ConsumerProtocol
{
    /// <summary>The protocol type that a consumer joins with.</summary>
    public const string Type = "consumer";

    public const short HighestVersion = 3;

    /// <param name="subscription">What the member says.</param>
    /// <param name="version">0 to 3; fields of later versions are left out.</param>
    public static byte[] EncodeSubscription(ConsumerSubscription subscription, short version = HighestVersion)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(version);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(version, HighestVersion);
        var writer = new ProtocolWriter();
        writer.Int16(version);
        writer.Int32(subscription.Topics.Count);
        foreach (string topic in subscription.Topics)
        {
            writer.Text(topic);
        }

        writer.NullableBytes(subscription.UserData.Span);
        if (version >= 1)
        {
            writer.Partitions(subscription.Owned);
        }

        if (version >= 2)
        {
            writer.Int32(subscription.Generation);
        }

        if (version >= 3)
        {
            writer.NullableText(subscription.RackId);
        }

        return writer.ToArray();
    }

    /// <exception cref="InvalidDataException">The bytes are not a subscription.</exception>
    public static ConsumerSubscription DecodeSubscription(ReadOnlySpan<byte> data)
    {
        var reader = new ProtocolReader(data, "subscription");
        short version = reader.Version();
        int count = reader.Count(elementSize: 2);
        var topics = new string[count];
        for (int i = 0; i < count; i++)
        {
            topics[i] = reader.Text();
        }

        byte[] userData = reader.NullableBytes();
        IReadOnlyList<TopicPartition> owned = version >= 1 ? reader.Partitions() : [];
        int generation = version >= 2 ? reader.Int32() : -1;
        string? rack = version >= 3 ? reader.NullableText() : null;
        return new ConsumerSubscription(topics, userData, owned, generation, rack);
    }

    /// <summary>The layout is the same in all versions; 0 is the one that every client reads.</summary>
    public static byte[] EncodeAssignment(IReadOnlyCollection<TopicPartition> partitions, ReadOnlySpan<byte> userData = default, short version = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(version);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(version, HighestVersion);
        var writer = new ProtocolWriter();
        writer.Int16(version);
        writer.Partitions(partitions);
        writer.NullableBytes(userData);
        return writer.ToArray();
    }

    /// <summary>No bytes at all stand for no partitions: so the coordinator answers a member that the leader forgot.</summary>
    /// <exception cref="InvalidDataException">The bytes are not an assignment.</exception>
    public static IReadOnlyList<TopicPartition> DecodeAssignment(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return [];
        }

        var reader = new ProtocolReader(data, "assignment");
        reader.Version();
        return reader.Partitions();
    }
}

/// <summary>Writes the plain encoding of Kafka's protocol: big-endian numbers, lengths before what they count.</summary>
internal readonly struct ProtocolWriter
{
    private readonly ArrayBufferWriter<byte> _buffer = new();

    public ProtocolWriter()
    {
    }

    public byte[] ToArray() => _buffer.WrittenSpan.ToArray();

    public void Int16(short value)
    {
        BinaryPrimitives.WriteInt16BigEndian(_buffer.GetSpan(2), value);
        _buffer.Advance(2);
    }

    public void Int32(int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(_buffer.GetSpan(4), value);
        _buffer.Advance(4);
    }

    public void Text(string value)
    {
        Int16(checked((short)Encoding.UTF8.GetByteCount(value)));
        Encoding.UTF8.GetBytes(value, _buffer);
    }

    public void NullableText(string? value)
    {
        if (value is null)
        {
            Int16(-1);
        }
        else
        {
            Text(value);
        }
    }

    public void NullableBytes(ReadOnlySpan<byte> value)
    {
        Int32(value.IsEmpty ? -1 : value.Length);
        _buffer.Write(value);
    }

    /// <summary>By topic, both in ascending order.</summary>
    public void Partitions(IReadOnlyCollection<TopicPartition> partitions)
    {
        IGrouping<string, TopicPartition>[] topics =
            [.. partitions.GroupBy(partition => partition.Topic, StringComparer.Ordinal).OrderBy(topic => topic.Key, StringComparer.Ordinal)];
        Int32(topics.Length);
        foreach (IGrouping<string, TopicPartition> topic in topics)
        {
            Text(topic.Key);
            Int32(topic.Count());
            foreach (TopicPartition partition in topic.OrderBy(partition => partition.Partition))
            {
                Int32(partition.Partition);
            }
        }
    }
}

/// <summary>Reads what <see cref="ProtocolWriter"/> and other clients write, and trusts no length.</summary>
internal ref struct ProtocolReader(ReadOnlySpan<byte> data, string what)
{
    private ReadOnlySpan<byte> _rest = data;

    public readonly int Remaining => _rest.Length;

    public short Version()
    {
        short version = Int16();
        return version >= 0 ? version : throw Invalid();
    }

    public short Int16() => BinaryPrimitives.ReadInt16BigEndian(Take(2));

    public int Int32() => BinaryPrimitives.ReadInt32BigEndian(Take(4));

    public int Count(int elementSize)
    {
        int count = Int32();
        return count >= 0 && count <= _rest.Length / elementSize ? count : throw Invalid();
    }

    public string Text() => NullableText() ?? throw Invalid();

    public string? NullableText()
    {
        short length = Int16();
        return length switch
        {
            -1 => null,
            < -1 => throw Invalid(),
            _ => Encoding.UTF8.GetString(Take(length)),
        };
    }

    public byte[] NullableBytes()
    {
        int length = Int32();
        return length switch
        {
            -1 => [],
            < -1 => throw Invalid(),
            _ => Take(length).ToArray(),
        };
    }

    public List<TopicPartition> Partitions()
    {
        int topics = Count(elementSize: 6);
        var partitions = new List<TopicPartition>();
        for (int i = 0; i < topics; i++)
        {
            string topic = Text();
            int count = Count(elementSize: 4);
            for (int k = 0; k < count; k++)
            {
                partitions.Add(new TopicPartition(topic, Int32()));
            }
        }

        return partitions;
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length > _rest.Length)
        {
            throw Invalid();
        }

        ReadOnlySpan<byte> taken = _rest[..length];
        _rest = _rest[length..];
        return taken;
    }

    private readonly InvalidDataException Invalid() => new($"The bytes are not a {what} of Kafka's consumer protocol.");
}
