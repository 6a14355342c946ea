using Arus.Protocol;
using Format = Arus.Protocol.ProducerSnapshot;

namespace Arus.Storage;

/// <summary>
/// The producers of a log as they were at an offset. As a file, <c>&lt;offset&gt;.snapshot</c>, one is written for each new segment,
/// unsynced; the newest also stands in the checkpoint.
/// </summary>
internal static class ProducerSnapshot
{
    private const short Version = 1;

    private static ReadOnlySpan<byte> Magic => "APSN"u8;

    /// <summary>
    /// The producers as they are now; they stay so while the log goes on. Appends wait for it, so that it copies no batch, and leaves
    /// the order to <see cref="Serialize(Format)"/>.
    /// </summary>
    public static Format Take(ProducerStateManager producers)
    {
        var snapshot = new Format { Producers = new Format.Producer[producers.Count] };
        int count = 0;
        foreach ((long id, ProducerState state) in producers.All)
        {
            snapshot.Producers[count++] =
                new() { ProducerId = id, Epoch = state.Epoch, LastAppendMs = state.LastAppendMs, Batches = state.Share() };
        }

        return snapshot;
    }

    public static byte[] Serialize(ProducerStateManager producers) => Serialize(Take(producers));

    /// <summary>Brings the snapshot into the order of the file, and writes it.</summary>
    public static byte[] Serialize(Format snapshot)
    {
        Array.Sort(snapshot.Producers, static (left, right) => left.ProducerId.CompareTo(right.ProducerId));
        return DataMessages.Write(snapshot, Version);
    }

    /// <summary>Writes what <see cref="Serialize(Format)"/> gave to a file of its own, durably: the records may be deleted next.</summary>
    public static void Write(ILogFileSystem fileSystem, string path, byte[] snapshot) =>
        fileSystem.ReplaceFile(path, DurableFile.Frame(Magic, Version, snapshot), durable: true);

    /// <summary>Null when the file is missing or damaged.</summary>
    public static ProducerStateManager? Read(ILogFileSystem fileSystem, string path) =>
        DurableFile.Read<Format>(fileSystem, path, Magic, out _) is { } snapshot ? ToManager(snapshot) : null;

    /// <summary>Reads what <see cref="Serialize(Format)"/> wrote, behind a CRC, so that damage is not expected: null then.</summary>
    public static ProducerStateManager? Deserialize(ReadOnlyMemory<byte> content)
    {
        try
        {
            return ToManager(DataMessages.Read<Format>(content, Version));
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    private static ProducerStateManager? ToManager(Format snapshot)
    {
        // The bytes are in the order of ids; the sort is stable, so that every reader gets the same order of use.
        var producers = new ProducerStateManager();
        foreach (Format.Producer producer in snapshot.Producers.OrderBy(producer => producer.LastAppendMs))
        {
            if (producer.Batches.Length > ProducerState.BatchesKept)
                return null;

            producers.Set(producer.ProducerId, new ProducerState(producer.Epoch, producer.LastAppendMs, producer.Batches));
        }

        return producers;
    }
}
