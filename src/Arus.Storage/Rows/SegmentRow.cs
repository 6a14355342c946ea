using System.Buffers.Binary;
using System.Globalization;

namespace Arus.Storage;

/// <summary>What the head knows of a row.</summary>
/// <param name="MergedEpoch">The epoch of the leader that made it from other rows; -1 for the row of a group commit.</param>
/// <param name="Size">Bytes of batches.</param>
/// <param name="Number">
/// Of a group commit's row: the log's generation. Of one made from others: what tells it from other rows of that leader and range.
/// </param>
internal readonly record struct RowInfo(long BaseOffset, long NextOffset, long MaxTimestamp, int Size, int MergedEpoch, int Number = 0)
{
    /// <summary>A group commit's row is found by where the log ended; one made from others by what it covers and who made it.</summary>
    public string Key => MergedEpoch < 0 ? KeyOf(BaseOffset, Number)
        : Number == 0 ? string.Create(CultureInfo.InvariantCulture, $"m{BaseOffset:D20}-{NextOffset:D20}-{MergedEpoch}")
        : string.Create(CultureInfo.InvariantCulture, $"m{BaseOffset:D20}-{NextOffset:D20}-{MergedEpoch}-{Number}");

    /// <param name="generation">Grows when the log is truncated, so that rows which went are never found again, whoever writes them.</param>
    public static string KeyOf(long baseOffset, int generation) => generation == 0
        ? string.Create(CultureInfo.InvariantCulture, $"r{baseOffset:D20}")
        : string.Create(CultureInfo.InvariantCulture, $"r{baseOffset:D20}.{generation}");
}

/// <summary>A row: who wrote it, what it holds, and whole batches, behind the frame of <see cref="DurableFile"/>.</summary>
internal sealed record SegmentRow(int LeaderEpoch, long BaseOffset, long NextOffset, long MaxTimestamp, ReadOnlyMemory<byte> Batches)
{
    public const short Version = 1;
    public const int HeaderSize = 4 + 8 + 8 + 8;
    private const int FrameBefore = 10;

    public static ReadOnlySpan<byte> Magic => "AROW"u8;

    /// <summary>As the row of a group commit.</summary>
    public RowInfo InfoIn(int generation) => new(BaseOffset, NextOffset, MaxTimestamp, Batches.Length, -1, generation);

    public byte[] Serialize()
    {
        byte[] content = new byte[HeaderSize + Batches.Length];
        BinaryPrimitives.WriteInt32BigEndian(content, LeaderEpoch);
        BinaryPrimitives.WriteInt64BigEndian(content.AsSpan(4), BaseOffset);
        BinaryPrimitives.WriteInt64BigEndian(content.AsSpan(12), NextOffset);
        BinaryPrimitives.WriteInt64BigEndian(content.AsSpan(20), MaxTimestamp);
        Batches.CopyTo(content.AsMemory(HeaderSize));
        return DurableFile.Frame(Magic, Version, content);
    }

    /// <exception cref="LogException">The row is damaged; the message names it.</exception>
    public static SegmentRow Deserialize(string key, ReadOnlyMemory<byte> bytes)
    {
        if (!DurableFile.IsFramed(bytes.Span, Magic, Version, out string? problem) || bytes.Length < DurableFile.Overhead + HeaderSize)
        {
            throw new LogException($"The row {key} is damaged: {problem ?? "it is too short"}.");
        }

        ReadOnlySpan<byte> at = bytes.Span[FrameBefore..];
        return new SegmentRow(
            BinaryPrimitives.ReadInt32BigEndian(at), BinaryPrimitives.ReadInt64BigEndian(at[4..]), BinaryPrimitives.ReadInt64BigEndian(at[12..]),
            BinaryPrimitives.ReadInt64BigEndian(at[20..]), bytes[(FrameBefore + HeaderSize)..^4]);
    }
}

/// <summary>
/// The head: who leads, where the log starts, and its rows as of the last checkpoint. Rows that are not listed follow behind the last
/// that is, each at the key of the one before's end.
/// </summary>
/// <param name="Generation">How often the log was truncated.</param>
/// <param name="CleanedOffset">Compaction has been through everything before it.</param>
/// <param name="Garbage">Keys of rows that are not part of the log any more and may still exist.</param>
/// <param name="Producers">A <see cref="ProducerSnapshot"/> as of the last row listed.</param>
internal sealed record RowLogHead(
    int LeaderEpoch, long LogStartOffset, long NextOffset, int Generation, long CleanedOffset, RowInfo[] Rows, EpochStart[] Epochs,
    string[] Garbage, byte[] Producers)
{
    /// <summary>Written. Version 1, without generation, cleaned offset and the rows' numbers, is read.</summary>
    public const short Version = 2;

    private const short FirstVersion = 1;

    public static ReadOnlySpan<byte> Magic => "AHED"u8;

    public byte[] Serialize()
    {
        using var buffer = new MemoryStream();
        using var writer = new BigEndianWriter(buffer);
        writer.Write(LeaderEpoch);
        writer.Write(LogStartOffset);
        writer.Write(NextOffset);
        writer.Write(Generation);
        writer.Write(CleanedOffset);
        writer.Write(Rows.Length);
        foreach (RowInfo row in Rows)
        {
            writer.Write(row.BaseOffset);
            writer.Write(row.NextOffset);
            writer.Write(row.MaxTimestamp);
            writer.Write(row.Size);
            writer.Write(row.MergedEpoch);
            writer.Write(row.Number);
        }

        writer.Write(Epochs.Length);
        foreach (EpochStart epoch in Epochs)
        {
            writer.Write(epoch.Epoch);
            writer.Write(epoch.StartOffset);
        }

        writer.Write(Garbage.Length);
        foreach (string key in Garbage)
        {
            writer.Write(System.Text.Encoding.UTF8.GetBytes(key));
        }

        writer.Write(Producers);
        return DurableFile.Frame(Magic, Version, buffer.ToArray());
    }

    /// <exception cref="LogException">The head is damaged.</exception>
    public static RowLogHead Deserialize(ReadOnlySpan<byte> bytes)
    {
        bool first = bytes.Length > 6 && BinaryPrimitives.ReadInt16BigEndian(bytes[4..]) == FirstVersion;
        byte[]? content = DurableFile.Open(bytes, Magic, first ? FirstVersion : Version, out string? problem);
        if (content is null)
        {
            throw new LogException($"The head of the log is damaged: {problem}.");
        }

        var reader = new BigEndianReader(content);
        int leaderEpoch = reader.ReadInt32();
        long start = reader.ReadInt64();
        long next = reader.ReadInt64();
        int generation = first ? 0 : reader.ReadInt32();
        long cleaned = first ? 0 : reader.ReadInt64();
        var rows = new RowInfo[reader.ReadCount(first ? 32 : 36)];
        for (int i = 0; i < rows.Length; i++)
        {
            rows[i] = new RowInfo(
                reader.ReadInt64(), reader.ReadInt64(), reader.ReadInt64(), reader.ReadInt32(), reader.ReadInt32(), first ? 0 : reader.ReadInt32());
        }

        var epochs = new EpochStart[reader.ReadCount(12)];
        for (int i = 0; i < epochs.Length; i++)
        {
            epochs[i] = new EpochStart(reader.ReadInt32(), reader.ReadInt64());
        }

        string[] garbage = new string[reader.ReadCount(4)];
        for (int i = 0; i < garbage.Length; i++)
        {
            garbage[i] = System.Text.Encoding.UTF8.GetString(reader.ReadBytes());
        }

        return new RowLogHead(leaderEpoch, start, next, generation, cleaned, rows, epochs, garbage, reader.ReadBytes());
    }
}
