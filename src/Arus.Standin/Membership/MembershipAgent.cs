using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace Orleans.Runtime;

/// <summary>Joins the cluster, probes the other silos, counts votes, spreads the view, and leaves.</summary>
internal sealed partial class MembershipAgent : IMembershipService, IDisposable
{
    private static readonly TimeSpan JoinRetryDelay = TimeSpan.FromMilliseconds(250);

    private readonly SiloRuntime _silo;
    private readonly ClusterMembershipOptions _options;
    private readonly IPEndPoint? _primary;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<SiloAddress, int> _missed = new();
    private readonly Dictionary<SiloAddress, Dictionary<SiloAddress, long>> _votes = [];
    private readonly Dictionary<SiloAddress, long> _deadSince = [];
    private Task _probing = Task.CompletedTask;

    public MembershipAgent(SiloRuntime silo, ClusterMembershipOptions options, IPEndPoint? primary)
    {
        _silo = silo;
        _options = options;
        _primary = primary is null || primary.Equals(silo.SiloAddress.Endpoint) ? null : primary;
        Membership.Kill = DeclareDeadAsync;
    }

    private ClusterMembershipService Membership => _silo.Membership;

    /// <summary>Makes this silo known to the cluster as joining.</summary>
    public async Task JoinAsync(CancellationToken cancellationToken)
    {
        Membership.Set(_silo.SiloAddress, _silo.Name, SiloStatus.Joining);
        if (_primary is null)
        {
            return;
        }

        long end = Environment.TickCount64 + (long)_options.MaxJoinAttemptTime.TotalMilliseconds;
        while (true)
        {
            try
            {
                await ExchangeWithPrimaryAsync();
                return;
            }
            catch (Exception exception) when (exception is OrleansException or TimeoutException && Environment.TickCount64 < end)
            {
                LogJoinRetried(_silo.Logger, _primary, exception.Message);
                await Task.Delay(JoinRetryDelay, cancellationToken);
            }
        }
    }

    /// <summary>Makes this silo active, and waits until the others know or are found unreachable.</summary>
    public async Task BecomeActiveAsync()
    {
        Membership.Set(_silo.SiloAddress, _silo.Name, SiloStatus.Active);
        await SpreadAsync();
        _probing = _options.LivenessEnabled ? Task.Run(ProbeLoopAsync) : Task.CompletedTask;
    }

    public async Task SetStatusAsync(SiloStatus status)
    {
        Membership.Set(_silo.SiloAddress, _silo.Name, status);
        await SpreadAsync();
    }

    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _probing;
    }

    public void Dispose() => _stopping.Cancel();

    async Task<MembershipView> IMembershipService.ExchangeAsync(MembershipView view)
    {
        MembershipView before = Membership.View;
        if (Membership.Merge(view) && Membership.CurrentSnapshot.Version.Value > Math.Max(view.Version, before.Version))
        {
            // The merged view is news to both sides, and so to everyone else.
            _ = SpreadAsync();
        }

        await Task.CompletedTask;
        return Membership.View;
    }

    Task<long> IMembershipService.ProbeAsync(SiloAddress from)
    {
        // An answer of another version makes the sender compare views: one that was declared dead learns of it so.
        long version = Membership.CurrentSnapshot.Version.Value;
        return Task.FromResult(Membership.IsDead(from) ? version + 1 : version);
    }

    Task IMembershipService.SuspectAsync(SiloAddress suspect, SiloAddress voter) => CountVoteAsync(suspect, voter);

    /// <summary>Tells all others what this silo knows; waits for each at most as long as for a probe.</summary>
    private async Task SpreadAsync()
    {
        MembershipView view = Membership.View;
        await Task.WhenAll(OthersAlive().Select(silo => TellAsync(silo, view)));
    }

    private async Task TellAsync(SiloAddress silo, MembershipView view)
    {
        try
        {
            Membership.Merge(await _silo.GetSystemTarget<IMembershipService>(silo).ExchangeAsync(view).WaitAsync(_options.ProbeTimeout));
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            // Probes will tell whether it is dead; if it is not, it will notice that its view is old.
            LogNotTold(_silo.Logger, silo, exception.Message);
        }
    }

    private IEnumerable<SiloAddress> OthersAlive() => Membership.CurrentSnapshot.Members.Values
        .Where(member => member.Status is SiloStatus.Joining or SiloStatus.Active or SiloStatus.ShuttingDown or SiloStatus.Stopping)
        .Select(member => member.SiloAddress)
        .Where(silo => !silo.Equals(_silo.SiloAddress));

    private async Task ExchangeWithPrimaryAsync()
    {
        Connection connection = await _silo.Connections.ConnectAsync(_primary!);
        Membership.Merge(await _silo.GetSystemTarget<IMembershipService>(connection.RemoteSilo!).ExchangeAsync(Membership.View));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Could not join through the primary silo at {Primary}: {Reason} Trying again.")]
    private static partial void LogJoinRetried(ILogger logger, IPEndPoint primary, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Silo {Silo} could not be told of a change of membership: {Reason}")]
    private static partial void LogNotTold(ILogger logger, SiloAddress silo, string reason);
}
