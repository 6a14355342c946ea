using System.Globalization;
using Arus.Protocol;

namespace Arus.Storage.Rows;

/// <summary>What the head knows of a row.</summary>
/// <param name="MergedEpoch">The epoch of the leader that made it from other rows; -1 for the row of a group commit.</param>
/// <param name="Size">Bytes of batches.</param>
/// <param name="Number">
/// Of a group commit's row: the log's generation. Of one made from others: what tells it from other rows of that leader and range.
/// </param>
internal readonly record struct RowInfo(
    long BaseOffset, long NextOffset, long MaxTimestamp, int Size, int MergedEpoch, int Number = 0) : IOffsetRange
{
    /// <summary>A group commit's row is found by where the log ended; one made from others by what it covers and who made it.</summary>
    public string Key => MergedEpoch < 0 ? KeyOf(BaseOffset, Number)
        : Number == 0 ? string.Create(CultureInfo.InvariantCulture, $"m{BaseOffset:D20}-{NextOffset:D20}-{MergedEpoch}")
        : string.Create(CultureInfo.InvariantCulture, $"m{BaseOffset:D20}-{NextOffset:D20}-{MergedEpoch}-{Number}");

    /// <summary>Whether both have one key.</summary>
    public bool IsSameRowAs(in RowInfo other) =>
        (BaseOffset, MergedEpoch, Number) == (other.BaseOffset, other.MergedEpoch, other.Number)
        && (MergedEpoch < 0 || NextOffset == other.NextOffset);

    /// <param name="generation">
    /// Grows when the log is truncated, so that rows which went are never found again, even if their writer is still alive.
    /// </param>
    public static string KeyOf(long baseOffset, int generation) => generation == 0
        ? string.Create(CultureInfo.InvariantCulture, $"r{baseOffset:D20}")
        : string.Create(CultureInfo.InvariantCulture, $"r{baseOffset:D20}.{generation}");
}

/// <summary>A row: who wrote it, what it holds, and whole batches, behind the frame of <see cref="DurableFile"/>.</summary>
internal sealed record SegmentRow(int LeaderEpoch, long BaseOffset, long NextOffset, long MaxTimestamp, ReadOnlyMemory<byte> Batches)
{
    private const short Version = 1;

    private static ReadOnlySpan<byte> Magic => "AROW"u8;

    /// <summary>As the row of a group commit.</summary>
    public RowInfo InfoIn(int generation) => new(BaseOffset, NextOffset, MaxTimestamp, Batches.Length, -1, generation);

    public byte[] Serialize() => DurableFile.Frame(
        Magic, Version,
        new SegmentRowHeader { LeaderEpoch = LeaderEpoch, BaseOffset = BaseOffset, NextOffset = NextOffset, MaxTimestamp = MaxTimestamp },
        Batches.Span);

    /// <exception cref="LogException">The row is damaged; the message names it.</exception>
    public static SegmentRow Deserialize(string key, ReadOnlyMemory<byte> bytes) =>
        DurableFile.OpenHeader<SegmentRowHeader>(bytes, Magic, out ReadOnlyMemory<byte> batches, out string? problem) is { } header
            ? new SegmentRow(header.LeaderEpoch, header.BaseOffset, header.NextOffset, header.MaxTimestamp, batches)
            : throw new LogException($"The row {key} is damaged: {problem}.");
}

/// <summary>
/// The bytes of the head: who leads, where the log starts, and its rows as of the last checkpoint. Rows that are not listed follow
/// behind the last that is, each at the key of the one before's end.
/// </summary>
internal static class HeadRow
{
    private static ReadOnlySpan<byte> Magic => "AHED"u8;

    /// <summary>The first that has transactions; without any the one before is written, which older builds read.</summary>
    private const short TransactionVersion = 3;

    public static byte[] Serialize(RowLogHead head) => DurableFile.Frame(
        Magic, (short)(head.ProducersVersion > 1 || head.Aborted.Length > 0 ? TransactionVersion : TransactionVersion - 1), head);

    /// <exception cref="LogException">The head is damaged.</exception>
    public static RowLogHead Deserialize(ReadOnlyMemory<byte> bytes) =>
        DurableFile.Open<RowLogHead>(bytes, Magic, out string? problem)
        ?? throw new LogException($"The head of the log is damaged: {problem}.");
}
