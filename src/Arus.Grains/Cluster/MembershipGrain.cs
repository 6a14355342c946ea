using Microsoft.Extensions.Hosting;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace Arus.Grains;

/// <inheritdoc cref="IMembershipGrain"/>
[StatelessWorker(maxLocalWorkers: 1)]
internal sealed class MembershipGrain(BrokerMembership membership, IHostApplicationLifetime lifetime, TimeProvider time)
    : Grain, IMembershipGrain
{
    private static readonly TimeSpan MaxWait = TimeSpan.FromMilliseconds(IMembershipGrain.MaxWaitMs);

    public async Task<SiloMembership> WaitForChangeAsync(long knownVersion)
    {
        // A silo that stops waits for the calls that its grains work on.
        CancellationToken stopping = lifetime.ApplicationStopping;
        using var limit = new CancellationTokenSource(MaxWait, time);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, stopping);
        try
        {
            await foreach (ClusterMembershipSnapshot snapshot in membership.Updates.WithCancellation(end.Token))
            {
                if (snapshot.Version.Value != knownVersion)
                    return Describe(snapshot);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            throw new SiloUnavailableException("This silo stops; another one can be asked.");
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
