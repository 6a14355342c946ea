using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>A call of another broker that is answered when all of its entries are, or its patience ends.</summary>
internal abstract class PendingCall(long call, Peer from, int count, long answerByMs)
{
    private int _left = count;

    public long Call { get; } = call;

    public Peer From { get; } = from;

    public long AnswerByMs { get; } = answerByMs;

    public bool IsAnswered { get; set; }

    /// <summary>All of its entries have been looked at.</summary>
    public bool IsAwaited { get; set; }

    public bool IsComplete => _left == 0;

    protected void CountOne() => _left--;
}

/// <summary>Sessions that a leader's broker opens.</summary>
internal sealed class SessionCall(long call, Peer from, int count, long answerByMs) : PendingCall(call, from, count, answerByMs)
{
    private static readonly ReplicaSessionResponse.OpenedSession NotYet =
        new() { ErrorCode = ErrorCode.RequestTimedOut, LeaderEpoch = -1, LogEndOffset = -1 };

    public ReplicaSessionResponse.OpenedSession[] Answers { get; } = [.. Enumerable.Repeat(NotYet, count)];

    public void Complete(int index, ReplicaSessionResponse.OpenedSession answer)
    {
        if (IsAnswered)
            return;

        Answers[index] = answer;
        CountOne();
    }
}

/// <summary>One session of a call.</summary>
internal sealed record SessionOffer(SessionCall Call, int Index, ReplicaSessionRequest.SessionOpening Request);

/// <summary>A push that another broker's call brought.</summary>
internal sealed class PushCall(long call, Peer from, long senderLife, int count, long answerByMs)
    : PendingCall(call, from, count, answerByMs)
{
    private readonly bool[] _isDone = new bool[count];

    public long SenderLife { get; } = senderLife;

    public ReplicaPushResponse.PushResult[] Results { get; } = new ReplicaPushResponse.PushResult[count];

    /// <summary>Marks what is not done as still under way.</summary>
    public void CutShort()
    {
        for (int i = 0; i < Results.Length; i++)
        {
            if (!_isDone[i])
                Results[i] = new ReplicaPushResponse.PushResult { ErrorCode = ErrorCode.RequestTimedOut, LogEndOffset = -1 };
        }
    }

    /// <summary>Takes an acknowledgement back that has not gone out yet.</summary>
    public void Retract(int index)
    {
        if (!IsAnswered && _isDone[index])
            Results[index] = new ReplicaPushResponse.PushResult { ErrorCode = ErrorCode.FencedLeaderEpoch, LogEndOffset = -1 };
    }

    public void Complete(int index, ErrorCode error, long endOffset)
    {
        if (IsAnswered)
            return;

        _isDone[index] = true;
        Results[index] = new ReplicaPushResponse.PushResult { ErrorCode = error, LogEndOffset = error == ErrorCode.None ? endOffset : -1 };
        CountOne();
    }
}

/// <summary>An append of a push that is under way.</summary>
internal sealed record PendingAppend(PushCall Call, int Index, ReplicaPushRequest.PushedPartition Pushed);
