using Arus.Protocol;

namespace Arus.Storage;

/// <summary>
/// What a log knows besides its segments: the file <c>log.checkpoint</c>. Everything before the recovery point is on stable storage
/// and need not be looked at when the log is opened; the producers are as they were there.
/// </summary>
internal static class LogCheckpointFile
{
    public const string Name = "log.checkpoint";
    private const short FirstVersion = 1;

    /// <summary>The first that has transactions; without any the one before is written, which older builds read.</summary>
    private const short TransactionVersion = 2;

    private static ReadOnlySpan<byte> Magic => "ALCP"u8;

    /// <param name="durable">As of <see cref="LogFileSystemExtensions.ReplaceFile"/>.</param>
    public static void Write(ILogFileSystem fileSystem, string directory, LogCheckpoint checkpoint, bool durable) =>
        fileSystem.ReplaceFile(
            Path.Combine(directory, Name),
            DurableFile.Frame(
                Magic, checkpoint.ProducersVersion > 1 || checkpoint.Ended.Length > 0 ? TransactionVersion : FirstVersion, checkpoint),
            durable);

    /// <summary>Null with the reason when the file is missing or damaged.</summary>
    public static LogCheckpoint? Read(ILogFileSystem fileSystem, string directory, out string? problem) =>
        DurableFile.Read<LogCheckpoint>(fileSystem, Path.Combine(directory, Name), Magic, out problem);
}
