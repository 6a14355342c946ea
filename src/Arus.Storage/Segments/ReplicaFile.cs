using Arus.Protocol;

namespace Arus.Storage;

/// <summary>
/// The file <c>log.replica</c> of a replicated log. In front what the log has promised, which is replaced with the whole file, durably;
/// behind it the offsets, which are overwritten in place and not synced, so that a crash may damage them, and nothing else.
/// </summary>
internal static class ReplicaFile
{
    public const string Name = "log.replica";
    private const short Version = 1;

    private static readonly int FrontBytes = FrameFront(new LogReplica()).Length;

    private static ReadOnlySpan<byte> FrontMagic => "ALRP"u8;

    private static ReadOnlySpan<byte> OffsetsMagic => "ALRO"u8;

    /// <summary>Replaces the file; it is on stable storage then.</summary>
    public static void Write(ILogFileSystem fileSystem, string directory, LogReplica front, LogReplicaOffsets offsets) =>
        fileSystem.ReplaceFile(
            PathIn(directory), (byte[])[.. FrameFront(front), .. DurableFile.Frame(OffsetsMagic, Version, offsets)], durable: true);

    /// <summary>Writes the offsets where they stand. A crash of the machine may leave them old or damaged.</summary>
    public static void Overwrite(ILogFileSystem fileSystem, string directory, LogReplicaOffsets offsets)
    {
        using ILogFile file = fileSystem.Open(PathIn(directory), create: false);
        file.Write(FrontBytes, [DurableFile.Frame(OffsetsMagic, Version, offsets)]);
    }

    /// <summary>Null with the reason when the file is missing or its front is damaged.</summary>
    /// <param name="offsets">Null when they are damaged.</param>
    public static LogReplica? Read(ILogFileSystem fileSystem, string directory, out LogReplicaOffsets? offsets, out string? problem)
    {
        offsets = null;
        if (DurableFile.ReadFramed(fileSystem, PathIn(directory), out problem) is not { } bytes)
            return null;

        int front = Math.Min(FrontBytes, bytes.Length);
        offsets = DurableFile.Open<LogReplicaOffsets>(bytes.AsMemory(front), OffsetsMagic, out _);
        return DurableFile.Open<LogReplica>(bytes.AsMemory(0, front), FrontMagic, out problem);
    }

    public static bool Exists(ILogFileSystem fileSystem, string directory) => fileSystem.GetInfo(PathIn(directory)) is not null;

    /// <summary>The log is no replica any more. Durable when it returns.</summary>
    public static void Delete(ILogFileSystem fileSystem, string directory)
    {
        fileSystem.DeleteFile(PathIn(directory));
        fileSystem.SyncDirectory(directory);
    }

    public static string PathIn(string directory) => Path.Combine(directory, Name);

    private static byte[] FrameFront(LogReplica front) => DurableFile.Frame(FrontMagic, Version, front);
}
