using Arus.Coordination.Replication;
using Arus.Storage;
using Microsoft.Extensions.Logging;

namespace Arus.Grains;

/// <summary>
/// What replicas need of their broker: logs, the configuration of topics, and the machine that hears what became of its wishes. Safe for
/// use by any thread.
/// </summary>
internal sealed partial class ReplicaWork(
    TopicLogs logs, ReplicaConfigs configs, LocalBroker broker, BrokerMetrics metrics,
    ReplicationMetrics replication, MachinePump pump, TransactionVerifier verifier, ILogger<ReplicaWork> logger)
{
    /// <summary>Told, between two steps of the machine, of replicas whose log is closed.</summary>
    public Action<Replica> Gone { get; set; } = _ => { };

    public LeaseTable Leases => pump.Leases;

    public long CatchUpRate => broker.Config.GetLong(BrokerConfigs.ReplicationCatchUpRate);

    /// <summary>The clock of the machine.</summary>
    public long Clock() => pump.NowMs;

    /// <exception cref="Exception">The log cannot be opened, or the topic cannot be asked.</exception>
    public async Task<IPartitionLog> OpenAsync(Replica replica, PartitionState state)
    {
        replica.Configs = await configs.GetAsync(state).ConfigureAwait(false);
        TopicConfig config = Configure(replica);
        IPartitionLogProvider provider = logs.Of(config.LogType);
        return state.IsShared
            ? await provider.OpenAsync(replica.Partition, state.Id.TopicId, config, state.LeaderEpoch).ConfigureAwait(false)
            : await provider.OpenAsync(
                replica.Partition, state.Id.TopicId, config,
                replication: new LogReplication(() => Note(replica), replica.NoteFailure)).ConfigureAwait(false);
    }

    /// <summary>Tells the log, and the machine, of a configuration that changed.</summary>
    public TopicConfig Configure(Replica replica)
    {
        TopicConfig config = TopicConfig.Resolve(replica.Configs, broker.Config);
        replica.Log?.Log.Reconfigure(config);
        pump.Post((machine, now) => machine.Configure(replica.Id, config.MinInSyncReplicas, config.UncleanLeaderElection, now));
        return config;
    }

    public ValueTask DeleteAsync(Replica replica) =>
        logs.Of(LogTypeOf(replica)).DeleteAsync(replica.Partition, replica.Id.TopicId);

    /// <summary>The replica's log is closed.</summary>
    public void Closed(Replica replica) => pump.Post((_, _) => Gone(replica));

    public LeaderLog Lead(Replica replica, Leadership leadership) =>
        new(leadership, metrics, verifier.For(replica.Partition, replica.Id.TopicId));

    /// <summary>The face of a follower's log for consumers; see <see cref="FollowerReads"/>.</summary>
    public LeaderLog Follow(IPartitionLog log, int leaderEpoch) => new(log, leaderEpoch, 0, metrics);

    public void Appended(Replica replica) => pump.Post((machine, now) => machine.Appended(replica.Id, now));

    public void Opened(Replica replica, ReplicaLog log) => pump.Post((machine, now) => machine.LogOpened(replica.Id, log, now));

    public void Prepared(Replica replica) => pump.Post((machine, now) => machine.Prepared(replica.Id, now));

    public void Published(Replica replica, ReplicaView? before, ReplicaView view)
    {
        replication.Published(before, view);
        if (before?.State.LeaderEpoch != view.State.LeaderEpoch || before.Role != view.Role)
        {
            LogRole(replica.Partition, view.Role, view.State.LeaderEpoch);
            if (view.Role == ReplicaRole.Leader)
                _ = RefreshAsync(replica, view.State);
        }
    }

    /// <summary>A broker that was not reached when the topic's configuration changed obeys it at the latest when it leads.</summary>
    private async Task RefreshAsync(Replica replica, PartitionState state)
    {
        try
        {
            replica.Configs = await configs.AskAsync(state).ConfigureAwait(false);
            Configure(replica);
        }
        catch (Exception e)
        {
            LogNotAsked(state.Topic, e.GetBaseException().Message);
        }
    }

    public async ValueTask CloseFailedAsync(IPartitionLog log)
    {
        try
        {
            await log.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is LogException or IOException)
        {
            LogNotClosed(log.Partition, e.Message);
        }
    }

    public void Failed(Replica replica, Exception reason)
    {
        LogFailed(replica.Partition, reason.GetBaseException().Message);
        pump.Post((machine, now) => machine.LogFailed(replica.Id, now));
    }

    private string LogTypeOf(Replica replica)
    {
        string type = TopicConfig.Resolve(replica.Configs, broker.Config).LogType;
        return replica.IsShared ? BrokerConfigs.LogTypeStorage : type == BrokerConfigs.LogTypeStorage ? BrokerConfigs.LogTypeFile : type;
    }

    /// <summary>Called from the threads of the logs: one note stands for all moves until the machine looks.</summary>
    private void Note(Replica replica)
    {
        if (replica.TryNote())
        {
            pump.Post((machine, now) =>
            {
                replica.BeginLook();
                machine.Durable(replica.Id, now);
            });
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Partition}: {Role} in epoch {Epoch}")]
    private partial void LogRole(TopicPartition partition, ReplicaRole role, int epoch);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The log of {Partition} cannot be used, and is opened again later: {Reason}")]
    private partial void LogFailed(TopicPartition partition, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Topic {Topic} could not be asked for its configuration: {Reason}")]
    private partial void LogNotAsked(string topic, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The log of {Partition} was not closed cleanly: {Reason}")]
    private partial void LogNotClosed(TopicPartition partition, string reason);
}
