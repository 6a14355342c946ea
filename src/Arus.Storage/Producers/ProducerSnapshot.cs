using System.Buffers.Binary;

namespace Arus.Storage;

/// <summary>
/// The producers of a log as they were at an offset. As a file, <c>&lt;offset&gt;.snapshot</c>, one is written for each new segment,
/// unsynced; the newest also stands in the checkpoint.
/// </summary>
internal static class ProducerSnapshot
{
    public const short Version = 1;
    private const int ProducerSize = 8 + 2 + 8 + 1;
    private const int BatchSize = 4 + 4 + 8 + 8 + 8;

    public static ReadOnlySpan<byte> Magic => "APSN"u8;

    public static byte[] Serialize(ProducerStateManager producers)
    {
        int size = 4;
        foreach ((_, ProducerState state) in producers.All)
        {
            size += ProducerSize + (state.Count * BatchSize);
        }

        byte[] content = new byte[size];
        Span<byte> at = content;
        BinaryPrimitives.WriteInt32BigEndian(at, producers.Count);
        at = at[4..];
        foreach ((long id, ProducerState state) in producers.All.OrderBy(pair => pair.Key))
        {
            BinaryPrimitives.WriteInt64BigEndian(at, id);
            BinaryPrimitives.WriteInt16BigEndian(at[8..], state.Epoch);
            BinaryPrimitives.WriteInt64BigEndian(at[10..], state.LastAppendMs);
            at[18] = (byte)state.Count;
            at = at[ProducerSize..];
            foreach (ProducerBatch batch in state.Batches)
            {
                BinaryPrimitives.WriteInt32BigEndian(at, batch.FirstSequence);
                BinaryPrimitives.WriteInt32BigEndian(at[4..], batch.LastSequence);
                BinaryPrimitives.WriteInt64BigEndian(at[8..], batch.FirstOffset);
                BinaryPrimitives.WriteInt64BigEndian(at[16..], batch.LastOffset);
                BinaryPrimitives.WriteInt64BigEndian(at[24..], batch.Timestamp);
                at = at[BatchSize..];
            }
        }

        return content;
    }

    /// <summary>Reads what <see cref="Serialize"/> wrote, behind a CRC, so that damage is not expected: null then.</summary>
    public static ProducerStateManager? Deserialize(ReadOnlySpan<byte> content)
    {
        if (content.Length < 4)
        {
            return null;
        }

        var states = new List<KeyValuePair<long, ProducerState>>();
        int count = BinaryPrimitives.ReadInt32BigEndian(content);
        content = content[4..];
        for (int i = 0; i < count; i++)
        {
            if (content.Length < ProducerSize)
            {
                return null;
            }

            long id = BinaryPrimitives.ReadInt64BigEndian(content);
            short epoch = BinaryPrimitives.ReadInt16BigEndian(content[8..]);
            long lastAppend = BinaryPrimitives.ReadInt64BigEndian(content[10..]);
            int batches = content[18];
            content = content[ProducerSize..];
            if (batches > ProducerState.BatchesKept || content.Length < batches * BatchSize)
            {
                return null;
            }

            var state = new ProducerState();
            state.SetEpoch(epoch, lastAppend);
            for (int b = 0; b < batches; b++, content = content[BatchSize..])
            {
                state.Add(
                    epoch,
                    new ProducerBatch(
                        BinaryPrimitives.ReadInt32BigEndian(content), BinaryPrimitives.ReadInt32BigEndian(content[4..]),
                        BinaryPrimitives.ReadInt64BigEndian(content[8..]), BinaryPrimitives.ReadInt64BigEndian(content[16..]),
                        BinaryPrimitives.ReadInt64BigEndian(content[24..])),
                    lastAppend);
            }

            states.Add(KeyValuePair.Create(id, state));
        }

        if (!content.IsEmpty)
        {
            return null;
        }

        // The bytes are in the order of ids; the sort is stable, so that the order of use is the same whoever reads them.
        var producers = new ProducerStateManager();
        foreach ((long id, ProducerState state) in states.OrderBy(pair => pair.Value.LastAppendMs))
        {
            producers.Set(id, state);
        }

        return producers;
    }
}
