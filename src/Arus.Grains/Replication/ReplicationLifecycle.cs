using Arus.Coordination.Replication;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Starts replication when the silo is active, feeds it with the states of partitions and with the cluster's membership, and ends it when
/// the silo stops: first its leaderships go to others, then, when the cluster knows that it leaves, its logs are closed.
/// </summary>
internal sealed partial class ReplicationLifecycle(
    ReplicationHost host, PartitionImage image, StatePolling polling, BrokerMembership membership, MachinePump pump,
    LostBrokers lost, BalanceWatch balance, StrayLogs strays, LocalBroker broker, TimeProvider time,
    ILogger<ReplicationLifecycle> logger)
    : ILifecycleParticipant<ISiloLifecycle>
{
    /// <summary>How long a graceful stop waits for others to take over.</summary>
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan DrainPoll = TimeSpan.FromMilliseconds(20);

    /// <summary>What a timer takes.</summary>
    private const long MaxSeconds = 4_000_000;

    private static readonly TimeSpan RefreshInterval = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _stopping = new();
    private Task _running = Task.CompletedTask;

    public void Participate(ISiloLifecycle lifecycle)
    {
        lifecycle.Subscribe(nameof(ReplicationLifecycle), ServiceLifecycleStage.Active, StartAsync, DrainAsync);

        // Stops after the silo has said that it leaves, which ends the lifecycle's stage of becoming active.
        lifecycle.Subscribe(
            nameof(ReplicationLifecycle), ServiceLifecycleStage.RuntimeGrainServices + 1, _ => Task.CompletedTask, CloseAsync);
    }

    private async Task StartAsync(CancellationToken cancellationToken)
    {
        await polling.ReadAllAsync(cancellationToken);
        host.Start();
        host.MembershipRead(membership.Lives, readAtMs: -1);
        _running = Task.WhenAll(
            WatchAsync(_stopping.Token), RefreshAsync(_stopping.Token), PreferAsync(_stopping.Token), balance.RunAsync(_stopping.Token));
        LogStarted(image.All.Count);
        _ = Task.Run(strays.Report, CancellationToken.None);
    }

    private async Task WatchAsync(CancellationToken stopping)
    {
        await foreach (ClusterMembershipSnapshot snapshot in membership.Updates.WithCancellation(stopping).ConfigureAwait(false))
        {
            host.MembershipRead(membership.Lives, readAtMs: -1);
            lost.Observe(snapshot.Members.Values, stopping);
        }
    }

    /// <summary>
    /// Reads the membership again and again, since after a pause this broker may have been declared dead, and must not lead; and after it
    /// the states, since who is no member may have changed some before.
    /// </summary>
    private async Task RefreshAsync(CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(RefreshInterval, time);
        while (await timer.WaitForNextTickAsync(stopping).ConfigureAwait(false))
        {
            long readAtMs = pump.NowMs;
            bool isMembershipRead = await TryRefreshAsync(stopping).ConfigureAwait(false);
            bool areStatesRead = await polling.PollAsync(stopping).ConfigureAwait(false);
            if (isMembershipRead)
                host.MembershipRead(membership.Lives, areStatesRead ? readAtMs : -1);
        }
    }

    private async Task<bool> TryRefreshAsync(CancellationToken stopping)
    {
        try
        {
            await membership.RefreshAsync(stopping).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (e is not OperationCanceledException || !stopping.IsCancellationRequested)
        {
            LogNotRefreshed(e.GetBaseException().Message);
            return false;
        }
    }

    /// <summary>After restarts a broker leads more than its share until the preferred leaders are preferred again.</summary>
    private async Task PreferAsync(CancellationToken stopping)
    {
        if (!broker.Config.GetBoolean(BrokerConfigs.AutoLeaderRebalanceEnable))
            return;

        var interval = TimeSpan.FromSeconds(Math.Min(broker.Config.GetLong(BrokerConfigs.LeaderImbalanceCheckIntervalSeconds), MaxSeconds));
        using var timer = new PeriodicTimer(interval, time);
        while (await timer.WaitForNextTickAsync(stopping).ConfigureAwait(false))
            host.MoveToPreferredLeaders();
    }

    private async Task DrainAsync(CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            // The silo is killed: nothing of it goes on.
            host.Halt();
            await _stopping.CancelAsync();
            return;
        }

        host.Drain();
        long start = time.GetTimestamp();
        while (host.LeadsAnything && time.GetElapsedTime(start) < DrainLimit && !cancellationToken.IsCancellationRequested)
            await Task.Delay(DrainPoll, time, CancellationToken.None);
    }

    private async Task CloseAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        await host.CloseAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        pump.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The membership cannot be read, and is read again later: {Reason}")]
    private partial void LogNotRefreshed(string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Replication starts with the states of {Count} partitions")]
    private partial void LogStarted(int count);
}
