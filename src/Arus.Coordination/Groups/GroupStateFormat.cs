using System.Buffers;
using System.Text;

namespace Arus.Coordination;

/// <summary>
/// How groups are stored: binary, because JSON of a few hundred members or ten thousand offsets would be megabytes a write.
/// Frozen by golden bytes; the first byte is the version.
/// </summary>
/// <remarks>
/// Numbers are zigzag LEB128 as in Kafka's record format; strings and byte arrays carry their length plus one, so that 0 stands for null.
/// </remarks>
public static class GroupStateFormat
{
    private const byte Version = 1;

    /// <summary>Writes what <see cref="DecodeSnapshot"/> reads.</summary>
    public static byte[] EncodeSnapshot(GroupSnapshot snapshot)
    {
        var writer = new StateWriter();
        writer.Byte(Version);
        writer.Byte((byte)snapshot.State);
        writer.Number(snapshot.Generation);
        writer.Text(snapshot.ProtocolType);
        writer.Text(snapshot.ProtocolName);
        writer.Text(snapshot.LeaderId);
        writer.Number(snapshot.EmptySinceMs);
        writer.Number(snapshot.Members.Count);
        foreach (MemberSnapshot member in snapshot.Members)
        {
            writer.Text(member.MemberId);
            writer.Text(member.InstanceId);
            writer.Text(member.ClientId);
            writer.Text(member.ClientHost);
            writer.Number(member.SessionTimeoutMs);
            writer.Number(member.RebalanceTimeoutMs);
            writer.Bytes(member.Metadata.Span);
            writer.Bytes(member.Assignment.Span);
        }

        return writer.ToArray();
    }

    /// <exception cref="InvalidDataException">The bytes are not of a version that this build knows, or damaged.</exception>
    public static GroupSnapshot DecodeSnapshot(ReadOnlySpan<byte> data)
    {
        var reader = new StateReader(data, "a group's metadata");
        reader.ExpectVersion(Version);
        var state = (GroupState)reader.Byte();
        int generation = reader.Int32();
        string protocolType = reader.Text();
        string protocolName = reader.Text();
        string leaderId = reader.Text();
        long emptySince = reader.Number();
        int count = reader.Count();
        var members = new List<MemberSnapshot>(count);
        for (int i = 0; i < count; i++)
        {
            members.Add(new MemberSnapshot(
                reader.Text(), reader.TextOrNull(), reader.Text(), reader.Text(), reader.Int32(), reader.Int32(), reader.Bytes(), reader.Bytes()));
        }

        reader.ExpectEnd();
        return new GroupSnapshot(state, generation, protocolType, protocolName, leaderId, emptySince, members);
    }

    /// <summary>Writes what <see cref="DecodeOffsets"/> reads.</summary>
    public static byte[] EncodeOffsets(IEnumerable<KeyValuePair<TopicPartition, StoredOffset>> offsets)
    {
        IGrouping<string, KeyValuePair<TopicPartition, StoredOffset>>[] topics =
            [.. offsets.GroupBy(offset => offset.Key.Topic, StringComparer.Ordinal).OrderBy(topic => topic.Key, StringComparer.Ordinal)];
        var writer = new StateWriter();
        writer.Byte(Version);
        writer.Number(topics.Length);
        foreach (IGrouping<string, KeyValuePair<TopicPartition, StoredOffset>> topic in topics)
        {
            writer.Text(topic.Key);
            writer.Number(topic.Count());
            foreach ((TopicPartition partition, StoredOffset offset) in topic.OrderBy(entry => entry.Key.Partition))
            {
                writer.Number(partition.Partition);
                writer.Number(offset.Offset);
                writer.Number(offset.LeaderEpoch);
                writer.Text(offset.Metadata);
                writer.Number(offset.CommittedAtMs);
                writer.Number(offset.ExpireAtMs);
            }
        }

        return writer.ToArray();
    }

    /// <exception cref="InvalidDataException">The bytes are not of a version that this build knows, or damaged.</exception>
    public static List<KeyValuePair<TopicPartition, StoredOffset>> DecodeOffsets(ReadOnlySpan<byte> data)
    {
        var reader = new StateReader(data, "a page of committed offsets");
        reader.ExpectVersion(Version);
        var offsets = new List<KeyValuePair<TopicPartition, StoredOffset>>();
        int topics = reader.Count();
        for (int i = 0; i < topics; i++)
        {
            string topic = reader.Text();
            int partitions = reader.Count();
            for (int k = 0; k < partitions; k++)
            {
                var partition = new TopicPartition(topic, reader.Int32());
                offsets.Add(new(partition, new StoredOffset(reader.Number(), reader.Int32(), reader.Text(), reader.Number(), reader.Number())));
            }
        }

        reader.ExpectEnd();
        return offsets;
    }

    private readonly struct StateWriter
    {
        private readonly ArrayBufferWriter<byte> _buffer = new();

        public StateWriter()
        {
        }

        public byte[] ToArray() => _buffer.WrittenSpan.ToArray();

        public void Byte(byte value)
        {
            _buffer.GetSpan(1)[0] = value;
            _buffer.Advance(1);
        }

        public void Number(long value)
        {
            ulong rest = (ulong)((value << 1) ^ (value >> 63));
            for (; rest > 0x7F; rest >>= 7)
            {
                Byte((byte)(rest | 0x80));
            }

            Byte((byte)rest);
        }

        public void Text(string? value)
        {
            if (value is null)
            {
                Number(0);
                return;
            }

            Number(Encoding.UTF8.GetByteCount(value) + 1);
            Encoding.UTF8.GetBytes(value, _buffer);
        }

        public void Bytes(ReadOnlySpan<byte> value)
        {
            Number(value.Length + 1);
            _buffer.Write(value);
        }
    }

    private ref struct StateReader(ReadOnlySpan<byte> data, string what)
    {
        private ReadOnlySpan<byte> _rest = data;

        public byte Byte()
        {
            if (_rest.IsEmpty)
            {
                throw Damaged();
            }

            byte value = _rest[0];
            _rest = _rest[1..];
            return value;
        }

        public void ExpectVersion(byte version)
        {
            byte found = Byte();
            if (found != version)
            {
                throw new InvalidDataException($"The stored bytes of {what} have version {found}; this build reads version {version}.");
            }
        }

        public void ExpectEnd()
        {
            if (!_rest.IsEmpty)
            {
                throw Damaged();
            }
        }

        public long Number()
        {
            ulong value = 0;
            for (int shift = 0; shift < 64; shift += 7)
            {
                byte next = Byte();
                value |= (ulong)(next & 0x7F) << shift;
                if (next < 0x80)
                {
                    return (long)(value >> 1) ^ -(long)(value & 1);
                }
            }

            throw Damaged();
        }

        public int Int32()
        {
            long value = Number();
            return value is >= int.MinValue and <= int.MaxValue ? (int)value : throw Damaged();
        }

        /// <summary>A count of things of a byte each at least, so that a damaged one cannot allocate more than there is.</summary>
        public int Count()
        {
            long value = Number();
            return value >= 0 && value <= _rest.Length ? (int)value : throw Damaged();
        }

        public string Text() => TextOrNull() ?? throw Damaged();

        public string? TextOrNull()
        {
            int length = Count(out bool isNull);
            if (isNull)
            {
                return null;
            }

            string value = Encoding.UTF8.GetString(_rest[..length]);
            _rest = _rest[length..];
            return value;
        }

        public byte[] Bytes()
        {
            int length = Count(out bool isNull);
            if (isNull)
            {
                throw Damaged();
            }

            byte[] value = _rest[..length].ToArray();
            _rest = _rest[length..];
            return value;
        }

        private int Count(out bool isNull)
        {
            long value = Number();
            isNull = value == 0;
            return value >= 0 && value - 1 <= _rest.Length ? (int)Math.Max(value - 1, 0) : throw Damaged();
        }

        private readonly InvalidDataException Damaged() => new($"The stored bytes of {what} are damaged.");
    }
}
