using System.Collections.Immutable;
using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>What a follower has to do to its log before its leader's records can follow.</summary>
/// <param name="TruncateTo">
/// Where its log has to end, which may be its durable end: what is not durable yet is of an older leadership, and goes. -1 if it restarts.
/// </param>
/// <param name="RestartAt">-1 for not.</param>
/// <param name="IsRefused">Committed records would go, though no election was unclean.</param>
internal readonly record struct Reconciliation(long TruncateTo, long RestartAt, bool RenewLogId, bool IsRefused = false);

/// <summary>Finds where the histories of two logs part (KIP-101, KIP-279): equal ends do not prove equal records.</summary>
internal static class EpochHistory
{
    /// <param name="highWatermark">That the follower knows.</param>
    public static Reconciliation Reconcile(IReplicaLog log, long highWatermark, in ReplicaSessionRequest.SessionOpening leader)
    {
        long end = log.DurableEndOffset;
        bool isEmpty = end <= log.LogStartOffset;
        long common = CommonEnd(log.Epochs, end, leader.Epochs, leader.LeaderEpoch);
        bool isKnown = common >= 0;
        if (!isKnown && leader.IsUnclean)
        {
            bool isThere = isEmpty && end == leader.LogStartOffset;
            return new Reconciliation(isThere ? end : -1, isThere ? -1 : leader.LogStartOffset, RenewLogId: end > 0 && !isThere);
        }

        // What lies below the high watermark is the same everywhere, and an empty log has nothing that could differ.
        if (!isKnown)
            common = isEmpty ? end : Math.Min(highWatermark, end);

        if (isKnown && common < highWatermark && !leader.IsUnclean)
            return new Reconciliation(-1, -1, false, IsRefused: true);

        if (common < leader.LogStartOffset || common < log.LogStartOffset)
            return new Reconciliation(-1, leader.LogStartOffset, RenewLogId: !isEmpty || end > 0);

        return new Reconciliation(common, -1, RenewLogId: common < highWatermark);
    }

    /// <summary>
    /// The greatest end of records that both logs have in the same epoch, hence of identical records; -1 if there are none. The leader's
    /// own epoch has no end: a session that was asked for long ago must not cut off what came since.
    /// </summary>
    private static long CommonEnd(
        ImmutableArray<EpochStartOffset> mine, long myEnd, ReplicaSessionRequest.SessionEpoch[] theirs, int leaderEpoch)
    {
        int i = mine.Length - 1;
        int j = theirs.Length - 1;
        while (i >= 0 && j >= 0)
        {
            if (mine[i].Epoch > theirs[j].Epoch)
            {
                i--;
            }
            else if (mine[i].Epoch < theirs[j].Epoch)
            {
                j--;
            }
            else
            {
                long myEpochEnd = i + 1 < mine.Length ? Math.Min(mine[i + 1].StartOffset, myEnd) : myEnd;
                long theirEpochEnd = j + 1 < theirs.Length ? theirs[j + 1].StartOffset : long.MaxValue;
                if (theirs[j].Epoch == leaderEpoch)
                    theirEpochEnd = long.MaxValue;

                long common = Math.Min(myEpochEnd, theirEpochEnd);
                if (common > Math.Max(mine[i].StartOffset, theirs[j].StartOffset))
                    return common;

                i--;
                j--;
            }
        }

        return -1;
    }
}
