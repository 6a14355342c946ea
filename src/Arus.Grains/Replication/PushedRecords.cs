using System.Buffers;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Cloning;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.Serializers;
using Orleans.Serialization.WireProtocol;

namespace Arus.Grains;

/// <summary>
/// The records of a push. A follower copies them into its log's cache and has no use for them afterwards: what it receives lies in memory
/// of the pool, or a busy follower would make as much garbage, in large objects, as it gets records.
/// </summary>
/// <param name="records">The segments of all partitions, in the order of the request.</param>
/// <param name="pooled">Where they lie; null if that is not the pool's.</param>
[Immutable]
internal readonly struct PushedRecords(RecordBytes records, byte[]? pooled = null)
{
    public RecordBytes Records { get; } = records;

    /// <summary>Nobody reads the records any more. To be called once; memory that is never given back, the collector takes.</summary>
    public void Return()
    {
        if (pooled is { Length: > 0 })
            ArrayPool<byte>.Shared.Return(pooled);
    }
}

/// <summary>Carries <see cref="PushedRecords"/> in the format of <see cref="RecordBytesCodec"/>.</summary>
[RegisterSerializer]
internal sealed class PushedRecordsCodec : IFieldCodec<PushedRecords>
{
    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, PushedRecords value)
        where TBufferWriter : IBufferWriter<byte> =>
        RecordBytesCodec.WriteField(ref writer, fieldIdDelta, expectedType, typeof(PushedRecords), value.Records);

    public PushedRecords ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        RecordBytes records = RecordBytesCodec.ReadPooled(ref reader, field, out byte[] pooled);
        return new PushedRecords(records, pooled);
    }
}

/// <summary>Nothing is copied inside a silo: nobody writes to the memory of a message.</summary>
[RegisterCopier]
internal sealed class PushedRecordsCopier : ShallowCopier<PushedRecords>;
