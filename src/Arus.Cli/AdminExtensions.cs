using Arus.Client;

namespace Arus.Cli;

internal static class AdminExtensions
{
    /// <summary>The same look-up for several partitions, one answer for each, in their order.</summary>
    /// <param name="spec">Where no record is as late, the answer is the end.</param>
    public static async Task<TopicPartitionOffset[]> ListOffsetsAsync(
        this IArusAdmin admin, IEnumerable<TopicPartition> partitions, OffsetSpec spec, CancellationToken cancellationToken) =>
        await Task.WhenAll(partitions.Select(async partition =>
        {
            long offset = (await admin.ListOffsetAsync(partition, spec, cancellationToken).ConfigureAwait(false)).Offset;
            return new TopicPartitionOffset(partition, offset < 0 ? TopicPartitionOffset.End : offset);
        })).ConfigureAwait(false);
}
