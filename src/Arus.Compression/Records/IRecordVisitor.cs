namespace Arus.Compression;

/// <summary>What <see cref="RecordBatchPayload.Walk"/> does with each record. A struct, so that the walk costs no call for it.</summary>
public interface IRecordVisitor
{
    /// <summary>Called for each well-formed record, in their order.</summary>
    /// <param name="index">From 0.</param>
    /// <param name="timestampDelta">Milliseconds relative to the batch's base timestamp.</param>
    /// <param name="offsetDelta">Relative to the batch's base offset.</param>
    /// <returns>False to end the walk.</returns>
    bool Visit(int index, long timestampDelta, int offsetDelta, bool isKeyNull);
}
