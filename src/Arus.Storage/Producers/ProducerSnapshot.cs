using Arus.Protocol;
using Format = Arus.Protocol.ProducerSnapshot;

namespace Arus.Storage;

/// <summary>
/// The producers of a log as they were at an offset. As a file, <c>&lt;offset&gt;.snapshot</c>, one is written for each new segment,
/// unsynced; the newest also stands in the checkpoint.
/// </summary>
internal static class ProducerSnapshot
{
    /// <summary>The first that has transactions; without any the one before is written, which older builds read.</summary>
    private const short TransactionVersion = 2;

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
            snapshot.Producers[count++] = new()
            {
                ProducerId = id,
                Epoch = state.Epoch,
                CoordinatorEpoch = state.CoordinatorEpoch,
                TransactionFirstOffset = state.TransactionFirstOffset,
                LastAppendMs = state.LastAppendMs,
                Batches = state.Share(),
            };
        }

        return snapshot;
    }

    public static StoredProducers Serialize(ProducerStateManager producers) => Serialize(Take(producers));

    /// <summary>Brings the snapshot into the order of the file, and writes it.</summary>
    public static StoredProducers Serialize(Format snapshot)
    {
        Array.Sort(snapshot.Producers, static (left, right) => left.ProducerId.CompareTo(right.ProducerId));
        short version = Array.Exists(snapshot.Producers, HasTransactions) ? TransactionVersion : Format.MinVersion;
        return new StoredProducers(DataMessages.Write(snapshot, version), version);
    }

    /// <summary>Writes what <see cref="Serialize(Format)"/> gave to a file of its own, durably: the records may be deleted next.</summary>
    public static void Write(ILogFileSystem fileSystem, string path, StoredProducers snapshot) =>
        fileSystem.ReplaceFile(path, DurableFile.Frame(Magic, snapshot.Version, snapshot.Bytes), durable: true);

    /// <summary>Null when the file is missing or damaged.</summary>
    public static ProducerStateManager? Read(ILogFileSystem fileSystem, string path) =>
        DurableFile.Read<Format>(fileSystem, path, Magic, out _) is { } snapshot ? ToManager(snapshot) : null;

    /// <summary>Reads what <see cref="Serialize(Format)"/> wrote, behind a CRC, so that damage is not expected: null then.</summary>
    public static ProducerStateManager? Deserialize(ReadOnlyMemory<byte> content, short version)
    {
        try
        {
            return ToManager(DataMessages.Read<Format>(content, version));
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

            producers.Set(
                producer.ProducerId,
                new ProducerState(
                    producer.Epoch, producer.LastAppendMs, producer.Batches, producer.CoordinatorEpoch, producer.TransactionFirstOffset));
        }

        return producers;
    }

    private static bool HasTransactions(Format.Producer producer) => producer.CoordinatorEpoch >= 0 || producer.TransactionFirstOffset >= 0;
}

/// <summary>A <see cref="Format"/> as bytes, and in which version.</summary>
internal readonly record struct StoredProducers(byte[] Bytes, short Version);
