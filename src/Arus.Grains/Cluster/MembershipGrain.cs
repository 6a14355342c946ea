using Orleans.Concurrency;
using Orleans.Runtime;

namespace Arus.Grains;

/// <inheritdoc cref="IMembershipGrain"/>
[StatelessWorker(maxLocalWorkers: 1)]
internal sealed class MembershipGrain(BrokerMembership membership, TimeProvider time) : Grain, IMembershipGrain
{
    private static readonly TimeSpan MaxWait = TimeSpan.FromMilliseconds(IMembershipGrain.MaxWaitMs);

    public async Task<SiloMembership> WaitForChangeAsync(long knownVersion)
    {
        using var limit = new CancellationTokenSource(MaxWait, time);
        try
        {
            await foreach (ClusterMembershipSnapshot snapshot in membership.Updates.WithCancellation(limit.Token))
            {
                if (snapshot.Version.Value != knownVersion)
                    return Describe(snapshot);
            }
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            // Nothing has changed.
        }

        return Describe(membership.Snapshot);
    }

    private static SiloMembership Describe(ClusterMembershipSnapshot snapshot) => new(
        snapshot.Version.Value,
        [.. snapshot.Members.Values.Where(member => member.Status != SiloStatus.Dead).Select(member => member.SiloAddress)]);
}
