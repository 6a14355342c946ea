using Arus.Protocol;

namespace Arus.Coordination.Replication;

/// <summary>What a leader tells a follower.</summary>
internal static class SessionMessages
{
    public static ReplicaSessionRequest.SessionOpening Opening(FollowerLink link)
    {
        Replica replica = link.Replica;
        IReplicaLog log = replica.Log!;
        var epochs = new List<ReplicaSessionRequest.SessionEpoch>(log.Epochs.Length + 1);
        foreach (EpochStartOffset epoch in log.Epochs)
            epochs.Add(new ReplicaSessionRequest.SessionEpoch { Epoch = epoch.Epoch, StartOffset = epoch.StartOffset });

        // An epoch without records is not in the log yet, and ends what the epoch before it wrote all the same.
        Leadership leadership = link.Leadership;
        if (epochs.Count == 0 || epochs[^1].Epoch < leadership.Epoch)
            epochs.Add(new ReplicaSessionRequest.SessionEpoch { Epoch = leadership.Epoch, StartOffset = leadership.EpochStart });

        return new ReplicaSessionRequest.SessionOpening
        {
            TopicId = replica.Id.TopicId,
            PartitionIndex = replica.Id.Partition,
            LeaderEpoch = leadership.Epoch,
            IsUnclean = replica.State.IsUnclean,
            LogStartOffset = log.LogStartOffset,
            LogEndOffset = log.DurableEndOffset,
            HighWatermark = replica.HighWatermark,
            Epochs = [.. epochs],
        };
    }

    public static ReplicaPushRequest.PushedPartition Pushed(FollowerLink link) => new()
    {
        TopicId = link.Replica.Id.TopicId,
        PartitionIndex = link.Replica.Id.Partition,
        LeaderEpoch = link.Leadership.Epoch,
        Opening = link.Opening,
        PreviousEndOffset = link.EndOffset,
        HighWatermark = link.SentWatermark,
        LogStartOffset = link.SentLogStart,
    };
}
