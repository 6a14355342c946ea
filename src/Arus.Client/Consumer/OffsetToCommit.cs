using Arus.Grains;

namespace Arus.Client;

/// <summary>An offset on its way to the group.</summary>
/// <param name="Fetcher">Of its partition; null for one that is not read here.</param>
/// <param name="Version">The fetcher's, when the offset was taken.</param>
internal readonly record struct OffsetToCommit(CommittedOffset Offset, PartitionFetcher? Fetcher, int Version);
