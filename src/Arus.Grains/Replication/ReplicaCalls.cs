using Arus.Coordination.Replication;
using Arus.Protocol;
using Arus.Storage;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Calls the services of other brokers as the machine asks for it, and tells it what they answered. Safe for use by any thread.
/// </summary>
internal sealed partial class ReplicaCalls(
    IBrokerServices services, BrokerMembership membership, LocalBroker broker, MachinePump pump, ReplicationMetrics metrics,
    TimeProvider time, ILogger<ReplicaCalls> logger)
{
    /// <summary>Records in one call, but for a single batch that is larger.</summary>
    private const int MaxPushBytes = 1 << 20;

    private const int MaxAnnounced = 2_000;

    /// <summary>Afterwards it is unknown whether a call arrived. A silo that is declared dead fails its calls sooner.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    /// <summary>Opening sessions truncates logs.</summary>
    private static readonly TimeSpan SessionLimit = TimeSpan.FromSeconds(20);

    public async Task SendSessionsAsync(ReplicationEffect.SendSessions send)
    {
        ReplicaSessionResponse? response = await CallAsync(
            send.To, SessionLimit, (service, self) => service.OpenSessionsAsync(self, send.Request)).ConfigureAwait(false);
        pump.Post((machine, now) => machine.SessionsAnswered(send.Call, response, now));
    }

    /// <param name="find">The open log of a partition, or null.</param>
    /// <param name="damaged">Told of a log whose records cannot be pushed since they are damaged.</param>
    public async Task SendPushAsync(
        ReplicationEffect.SendPush send, Func<PartitionId, IPartitionLog?> find, Action<PartitionId> damaged)
    {
        // Whatever fails, the machine hears of it: it counts the calls that are under way.
        int caughtUp = 0;
        ReplicaPushResponse? response = await CallAsync(send.To, Limit, async (service, self) =>
        {
            var lease = new LogReadLease();
            (RecordBytes records, caughtUp) = await ReadAsync(send, find, damaged, lease).ConfigureAwait(false);
            metrics.CaughtUp(caughtUp);
            ReplicaPushResponse answer = await service.PushAsync(self, send.Request, new PushedRecords(records)).ConfigureAwait(false);

            // An answer means that the request has been written to the connection whole. Of a call that fails nobody knows that.
            lease.Release();
            return answer;
        }).ConfigureAwait(false);
        pump.Post((machine, now) => machine.PushAnswered(send.Call, response, now, caughtUp));
    }

    /// <summary>Tells all other live brokers of states that changed, without waiting for them.</summary>
    public void Announce(IReadOnlyList<PartitionState> states)
    {
        foreach (PartitionState[] some in states.Chunk(MaxAnnounced))
        {
            PartitionStates message = StateMessages.ToMessage(some);
            foreach (int other in membership.Alive.Where(other => other != broker.BrokerId))
                _ = TellAsync(other, service => service.AnnounceAsync(message));
        }
    }

    /// <summary>
    /// Tells all live brokers of a topic's configuration; one that is not reached reads it when it opens the topic's logs.
    /// </summary>
    public Task ReconfigureAsync(Guid topicId, Dictionary<string, string> configs) =>
        Task.WhenAll(membership.Alive.Select(other => TellAsync(other, service => service.ReconfigureAsync(topicId, configs))));

    /// <summary>Tells a broker of leaders that an operator wishes for, without waiting for it.</summary>
    public void Elect(int to, LeaderElection[] elections)
    {
        foreach (LeaderElection[] some in elections.Chunk(MaxAnnounced))
            _ = TellAsync(to, service => service.ElectAsync(some));
    }

    /// <summary>The open logs of a broker; null if it does not answer.</summary>
    public Task<LogDescription[]?> DescribeLogsAsync(int to) =>
        CallAsync(to, Limit, static (service, _) => service.DescribeLogsAsync());

    private async Task TellAsync(int to, Func<IBrokerService, Task> call)
    {
        try
        {
            if (membership.TryGetSilo(to, out SiloAddress silo))
                await call(services.Of(silo)).WaitAsync(Limit, time).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            LogFailed(to, e.Message);
        }
    }

    private async Task<T?> CallAsync<T>(int to, TimeSpan limit, Func<IBrokerService, int, Task<T>> call)
        where T : class
    {
        try
        {
            return membership.TryGetSilo(to, out SiloAddress silo)
                ? await call(services.Of(silo), broker.BrokerId).WaitAsync(limit, time).ConfigureAwait(false)
                : null;
        }
        catch (Exception e)
        {
            LogFailed(to, e.Message);
            return null;
        }
    }

    /// <summary>Reads what follows each entry's previous end, and says in the request how many segments each has.</summary>
    /// <returns>The records, and how many bytes of them are for replicas that are not in sync.</returns>
    private static async ValueTask<(RecordBytes Records, int CaughtUp)> ReadAsync(
        ReplicationEffect.SendPush send, Func<PartitionId, IPartitionLog?> find, Action<PartitionId> damaged, LogReadLease lease)
    {
        ReplicaPushRequest request = send.Request;
        (int firstCatchUp, int endCatchUp) = (send.CatchUp.Start.Value, send.CatchUp.End.Value);
        var segments = new List<ReadOnlyMemory<byte>>();
        (int total, int caughtUp) = (0, 0);
        for (int i = 0; i < request.Partitions.Length; i++)
        {
            ReplicaPushRequest.PushedPartition entry = request.Partitions[i];
            request.Partitions[i].SegmentCount = 0;
            bool catchesUp = i >= firstCatchUp && i < endCatchUp;
            int left = Math.Min(MaxPushBytes - total, catchesUp ? send.CatchUpBytes - caughtUp : int.MaxValue);
            if (left <= 0 || find(new PartitionId(entry.TopicId, entry.PartitionIndex)) is not { } log
                || entry.PreviousEndOffset >= log.DurableEndOffset)
            {
                continue;
            }

            bool minOneBatch = segments.Count == 0 || (catchesUp && caughtUp == 0);
            LogReadResult read = await TryReadAsync(log, entry.PreviousEndOffset, left, minOneBatch, lease)
                .ConfigureAwait(false);
            if (read.Error == ErrorCode.CorruptMessage)
                damaged(new PartitionId(entry.TopicId, entry.PartitionIndex));

            if (log.FencedEpoch > entry.LeaderEpoch)
                continue; // A later leader may have had the log cut during the read.

            request.Partitions[i].SegmentCount = read.Records.Length;
            foreach (ReadOnlyMemory<byte> segment in read.Records)
            {
                segments.Add(segment);
                total += segment.Length;
                caughtUp += catchesUp ? segment.Length : 0;
            }
        }

        return (segments.Count == 0 ? default : new RecordBytes([.. segments]), caughtUp);
    }

    /// <summary>Without records where the log cannot be read: what failed, the log's owner reports.</summary>
    private static async ValueTask<LogReadResult> TryReadAsync(
        IPartitionLog log, long offset, int maxBytes, bool minOneBatch, LogReadLease lease)
    {
        var nothing = new LogReadResult(ErrorCode.None, -1, -1, -1, []);
        try
        {
            LogReadResult read = await log.ReadAsync(offset, maxBytes, minOneBatch, LogReadLimit.DurableEnd, lease).ConfigureAwait(false);
            return read.Error is ErrorCode.None or ErrorCode.CorruptMessage ? read : nothing;
        }
        catch (Exception e) when (e is LogException or IOException or ObjectDisposedException)
        {
            return nothing;
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "A call to broker {Broker} failed: {Reason}")]
    private partial void LogFailed(int broker, string reason);
}
