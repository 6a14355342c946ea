using Format = Arus.Protocol.LogCheckpoint;

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
    private const short Version = 1;

    private static ReadOnlySpan<byte> Magic => "ALCP"u8;

    public byte[] Serialize() => DurableFile.Frame(Magic, Version, new Format
    {
        TopicId = TopicId,
        LogStartOffset = LogStartOffset,
        RecoveryOffset = RecoveryOffset,
        RecoverySegment = RecoverySegment,
        RecoveryPosition = RecoveryPosition,
        CleanedOffset = CleanedOffset,
        Epochs = [.. Epochs.Select(start => new Format.EpochStart { Epoch = start.Epoch, StartOffset = start.StartOffset })],
        Producers = Producers,
    });

    public static LogCheckpoint? Read(ILogFileSystem fileSystem, string directory, out string? problem) =>
        DurableFile.Read<Format>(fileSystem, Path.Combine(directory, FileName), Magic, out problem) is not { } read ? null
        : new LogCheckpoint(
            read.TopicId, read.LogStartOffset, read.RecoveryOffset, read.RecoverySegment, read.RecoveryPosition, read.CleanedOffset,
            [.. read.Epochs.Select(start => new EpochStart(start.Epoch, start.StartOffset))], read.Producers.ToArray());
}
