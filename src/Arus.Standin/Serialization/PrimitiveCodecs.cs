using System.Net;

namespace Orleans.Serialization;

/// <summary>Codecs of the types that have no parts of their own.</summary>
internal static class PrimitiveCodecs
{
    private static readonly Dictionary<Type, Codec> _codecs = new Codec[]
    {
        new Value<bool>((w, v) => w.WriteBool(v), r => r.ReadBool()),
        new Value<byte>((w, v) => w.WriteByte(v), r => r.ReadByte()),
        new Value<sbyte>((w, v) => w.WriteByte((byte)v), r => (sbyte)r.ReadByte()),
        new Value<short>((w, v) => w.WriteVarInt32(v), r => Narrow(r, (long)r.ReadVarInt32(), short.MinValue, short.MaxValue, x => (short)x)),
        new Value<ushort>((w, v) => w.WriteVarUInt32(v), r => Narrow(r, r.ReadVarUInt32(), ushort.MinValue, ushort.MaxValue, x => (ushort)x)),
        new Value<char>((w, v) => w.WriteVarUInt32(v), r => Narrow(r, r.ReadVarUInt32(), char.MinValue, char.MaxValue, x => (char)x)),
        new Value<int>((w, v) => w.WriteVarInt32(v), r => r.ReadVarInt32()),
        new Value<uint>((w, v) => w.WriteVarUInt32(v), r => r.ReadVarUInt32()),
        new Value<long>((w, v) => w.WriteVarInt64(v), r => r.ReadVarInt64()),
        new Value<ulong>((w, v) => w.WriteVarUInt64(v), r => r.ReadVarUInt64()),
        new Value<Int128>((w, v) => w.WriteRaw(v), r => r.ReadRaw<Int128>(), 16),
        new Value<UInt128>((w, v) => w.WriteRaw(v), r => r.ReadRaw<UInt128>(), 16),
        new Value<Half>((w, v) => w.WriteRaw(v), r => r.ReadRaw<Half>(), 2),
        new Value<float>((w, v) => w.WriteRaw(v), r => r.ReadRaw<float>(), 4),
        new Value<double>((w, v) => w.WriteRaw(v), r => r.ReadRaw<double>(), 8),
        new Value<decimal>(WriteDecimal, r => Checked(r, ReadDecimal), 16),
        new Value<Guid>((w, v) => w.WriteRaw(v), r => r.ReadRaw<Guid>(), 16),
        new Value<TimeSpan>((w, v) => w.WriteVarInt64(v.Ticks), r => new TimeSpan(r.ReadVarInt64())),
        new Value<DateTime>((w, v) => w.WriteInt64(v.ToBinary()), r => Checked(r, x => DateTime.FromBinary(x.ReadInt64())), 8),
        new Value<DateTimeOffset>(WriteDateTimeOffset, r => Checked(r, ReadDateTimeOffset), 9),
        new Value<DateOnly>((w, v) => w.WriteVarInt32(v.DayNumber), r => Checked(r, x => DateOnly.FromDayNumber(x.ReadVarInt32()))),
        new Value<TimeOnly>((w, v) => w.WriteVarInt64(v.Ticks), r => Checked(r, x => new TimeOnly(x.ReadVarInt64()))),
        new Value<string?>((w, v) => w.WriteString(v), r => r.ReadString()),
        new Value<Uri?>((w, v) => w.WriteString(v?.OriginalString), r => Parse(r, s => new Uri(s, UriKind.RelativeOrAbsolute))),
        new Value<Version?>((w, v) => w.WriteString(v?.ToString()), r => Parse(r, Version.Parse)),
        new Value<IPAddress?>((w, v) => w.WriteString(v?.ToString()), r => Parse(r, IPAddress.Parse)),
        new Value<IPEndPoint?>((w, v) => w.WriteString(v?.ToString()), r => Parse(r, IPEndPoint.Parse)),
        new ByteArrayCodec(),
        new ReadOnlyMemoryCodec(),
        new MemoryCodec(),
        new ArraySegmentCodec(),
        new IdSpanCodec(),
        new GrainTypeCodec(),
        new GrainInterfaceTypeCodec(),
        new GrainIdCodec(),
        new SiloAddressCodec(),
    }.ToDictionary(c => c.Type);

    public static Codec? Find(Type type) => _codecs.GetValueOrDefault(type);

    private static void WriteDecimal(WireWriter writer, decimal value)
    {
        Span<int> parts = stackalloc int[4];
        decimal.GetBits(value, parts);
        foreach (int part in parts)
        {
            writer.WriteInt32(part);
        }
    }

    private static decimal ReadDecimal(WireReader reader)
    {
        Span<int> parts = stackalloc int[4];
        foreach (ref int part in parts)
        {
            part = reader.ReadInt32();
        }

        return new decimal(parts);
    }

    private static void WriteDateTimeOffset(WireWriter writer, DateTimeOffset value)
    {
        writer.WriteInt64(value.Ticks);
        writer.WriteVarInt32((int)value.Offset.TotalMinutes);
    }

    private static DateTimeOffset ReadDateTimeOffset(WireReader reader)
    {
        long ticks = reader.ReadInt64();
        return new DateTimeOffset(ticks, TimeSpan.FromMinutes(reader.ReadVarInt32()));
    }

    private static T Narrow<T>(WireReader reader, long value, long least, long most, Func<long, T> convert) =>
        value >= least && value <= most ? convert(value) : throw reader.Corrupt($"{value} is no {typeof(T)}");

    private static T? Parse<T>(WireReader reader, Func<string, T> parse) where T : class =>
        reader.ReadString() is { } text ? Checked(reader, _ => parse(text)) : null;

    private static T Checked<T>(WireReader reader, Func<WireReader, T> read)
    {
        try
        {
            return read(reader);
        }
        catch (Exception wrong) when (wrong is ArgumentException or FormatException or OverflowException)
        {
            throw reader.Corrupt($"no valid {typeof(T)}: {wrong.Message}");
        }
    }

    private sealed class Value<T>(Action<WireWriter, T> write, Func<WireReader, T> read, int minSize = 1) : Codec<T>
    {
        public override bool IsShared => true;

        public override int MinSize => minSize;

        public override void Write(WireWriter writer, T value) => write(writer, value);

        public override T Read(WireReader reader) => read(reader);

        public override T Copy(T value) => value;
    }
}
