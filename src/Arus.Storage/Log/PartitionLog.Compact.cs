namespace Arus.Storage;

/// <content>Compaction.</content>
internal sealed partial class PartitionLog
{
    private Task<(int Segments, long BytesFreed)> CompactAsync(CancellationToken cancellationToken) => Task.FromResult((0, 0L));
}
