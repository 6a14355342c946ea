using System.Buffers.Binary;

namespace Arus.Storage;

/// <summary>
/// What a log knows besides its segments: the file <c>log.checkpoint</c>. Everything before the recovery point is on stable storage
/// and need not be looked at when the log is opened; the producers are as they were there.
/// </summary>
/// <param name="LogStartOffset">Where reading begins.</param>
/// <param name="RecoveryOffset">The recovery point.</param>
/// <param name="RecoverySegment">The base offset of the segment that it lies in.</param>
/// <param name="RecoveryPosition">Where in that segment.</param>
/// <param name="CleanedOffset">Compaction has been through everything before it.</param>
/// <param name="Producers">A <see cref="ProducerSnapshot"/> as of the recovery point.</param>
internal sealed record LogCheckpoint(
    Guid TopicId, long LogStartOffset, long RecoveryOffset, long RecoverySegment, int RecoveryPosition, long CleanedOffset,
    EpochStart[] Epochs, byte[] Producers)
{
    public const string FileName = "log.checkpoint";
    public const short Version = 1;
    private const int FixedSize = 16 + 8 + 8 + 8 + 4 + 8 + 4 + 4;
    private const int EpochSize = 4 + 8;

    public static ReadOnlySpan<byte> Magic => "ALCP"u8;

    public byte[] Serialize()
    {
        byte[] content = new byte[FixedSize + (Epochs.Length * EpochSize) + Producers.Length];
        Span<byte> at = content;
        TopicId.TryWriteBytes(at, bigEndian: true, out _);
        BinaryPrimitives.WriteInt64BigEndian(at[16..], LogStartOffset);
        BinaryPrimitives.WriteInt64BigEndian(at[24..], RecoveryOffset);
        BinaryPrimitives.WriteInt64BigEndian(at[32..], RecoverySegment);
        BinaryPrimitives.WriteInt32BigEndian(at[40..], RecoveryPosition);
        BinaryPrimitives.WriteInt64BigEndian(at[44..], CleanedOffset);
        BinaryPrimitives.WriteInt32BigEndian(at[52..], Epochs.Length);
        BinaryPrimitives.WriteInt32BigEndian(at[56..], Producers.Length);
        at = at[FixedSize..];
        foreach (EpochStart epoch in Epochs)
        {
            BinaryPrimitives.WriteInt32BigEndian(at, epoch.Epoch);
            BinaryPrimitives.WriteInt64BigEndian(at[4..], epoch.StartOffset);
            at = at[EpochSize..];
        }

        Producers.CopyTo(at);
        return DurableFile.Frame(Magic, Version, content);
    }

    public static LogCheckpoint? Read(ILogFileSystem fileSystem, string directory, out string? problem)
    {
        byte[]? content = DurableFile.Read(fileSystem, Path.Combine(directory, FileName), Magic, Version, out problem);
        return content is null ? null : Deserialize(content, out problem);
    }

    private static LogCheckpoint? Deserialize(ReadOnlySpan<byte> at, out string? problem)
    {
        problem = "its length does not fit its content";
        if (at.Length < FixedSize)
        {
            return null;
        }

        int epochs = BinaryPrimitives.ReadInt32BigEndian(at[52..]);
        int producers = BinaryPrimitives.ReadInt32BigEndian(at[56..]);
        if (epochs < 0 || producers < 0 || at.Length != FixedSize + ((long)epochs * EpochSize) + producers)
        {
            return null;
        }

        var starts = new EpochStart[epochs];
        for (int i = 0; i < epochs; i++)
        {
            ReadOnlySpan<byte> entry = at[(FixedSize + (i * EpochSize))..];
            starts[i] = new EpochStart(BinaryPrimitives.ReadInt32BigEndian(entry), BinaryPrimitives.ReadInt64BigEndian(entry[4..]));
        }

        problem = null;
        return new LogCheckpoint(
            new Guid(at[..16], bigEndian: true), BinaryPrimitives.ReadInt64BigEndian(at[16..]),
            BinaryPrimitives.ReadInt64BigEndian(at[24..]), BinaryPrimitives.ReadInt64BigEndian(at[32..]),
            BinaryPrimitives.ReadInt32BigEndian(at[40..]), BinaryPrimitives.ReadInt64BigEndian(at[44..]), starts,
            at[(at.Length - producers)..].ToArray());
    }
}
