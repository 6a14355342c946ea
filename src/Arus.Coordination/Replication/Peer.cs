using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>Another broker: whether it lives, what it was promised, and what is to be sent to it.</summary>
internal sealed class Peer(int brokerId) : ITimed
{
    /// <summary>Before every time that a clock shows.</summary>
    private const long Never = long.MinValue / 2;

    public int BrokerId { get; } = brokerId;

    public long ArmedAtMs { get; set; } = long.MaxValue;

    public bool IsLive { get; set; }

    /// <summary>The number of its present life, or of the last one that was seen.</summary>
    public long Life { get; set; } = -1;

    /// <summary>How many partitions both brokers keep.</summary>
    public int SharedPartitions { get; set; }

    /// <summary>Until then this broker takes over nothing that the peer leads.</summary>
    public long GrantedUntilMs { get; set; }

    /// <summary>
    /// Swaps by which this broker takes over partitions of the peer and whose outcome is not known. As long as there are any, no lease is
    /// granted: it would be broken by a swap that is on its way.
    /// </summary>
    public int Challenges { get; set; }

    /// <summary>When it last answered a call.</summary>
    public long AnsweredMs { get; set; } = Never;

    /// <summary>
    /// Heartbeats since its last answer. They are counted, and not the time, since a pause of this broker is no silence of the peer.
    /// </summary>
    public int UnansweredHeartbeats { get; set; }

    /// <summary>
    /// It lives by the membership, and has answered nothing for <see cref="ReplicationOptions.LagTimeMaxMs"/>: the link between the two
    /// brokers may be cut, which nobody else notices.
    /// </summary>
    public bool IsSilent { get; set; }

    /// <summary>When its last silence ended: what it lacks because of that it has the usual time to catch up with.</summary>
    public long AnsweringSinceMs { get; private set; } = Never;

    /// <summary>When the push was sent that it answered last.</summary>
    public long AnsweredSendMs { get; set; } = Never;

    public long HeartbeatSentMs { get; set; } = Never;

    /// <summary>When its idle sessions were looked at.</summary>
    public long IdleCheckedMs { get; set; } = Never;

    public int PushesInFlight { get; set; }

    public int SessionsInFlight { get; set; }

    public bool IsWatermarkCallInFlight { get; set; }

    /// <summary>A call with records for replicas that are not in sync is on its way; there is one at a time.</summary>
    public bool IsCatchUpInFlight { get; set; }

    /// <summary>What was granted for the next such call.</summary>
    public int CatchUpBytes { get; set; }

    /// <summary>It is in the scheduler's list of those to whom something may be sent.</summary>
    public bool IsScheduled { get; set; }

    public Queue<FollowerLink> SessionQueue { get; } = new();

    public Queue<ReplicaPushRequest.PushedPartition> Resignations { get; } = new();

    public Queue<FollowerLink> DataQueue { get; } = new();

    /// <summary>Of replicas that are not in sync; those that are by now wait in <see cref="DataQueue"/>, too.</summary>
    public Queue<FollowerLink> CatchUpQueue { get; } = new();

    public Queue<FollowerLink> WatermarkQueue { get; } = new();

    /// <summary>When the watermarks that are queued have to go.</summary>
    public long WatermarkDueMs { get; set; } = long.MaxValue;

    /// <summary>Appends of its pushes that became durable after their call was answered.</summary>
    public List<ReplicaPushResponse.MovedEnd> MovedEnds { get; } = [];

    /// <summary>It has answered, or is another life, which has not been asked yet.</summary>
    public void BreakSilence(long nowMs)
    {
        if (IsSilent)
            AnsweringSinceMs = nowMs;

        UnansweredHeartbeats = 0;
        IsSilent = false;
    }
}
