using Arus.Protocol;
using PartitionData = Arus.Protocol.FetchResponse.PartitionData;

namespace Arus.Kafka;

/// <summary>One fetch: which partitions it is about, and how its answers become a response, within a session or without.</summary>
internal sealed class FetchContext
{
    private readonly FetchSession? _session;
    private readonly int _epoch;
    private readonly FetchSessions? _opensIn;
    private readonly bool _byTopicId;

    private FetchContext(
        SessionPartition[] partitions, FetchSession? session = null, int epoch = 0, FetchSessions? opensIn = null, bool byTopicId = false)
    {
        (_session, _epoch, _opensIn, _byTopicId) = (session, epoch, opensIn, byTopicId);
        Partitions = partitions;
        Requests = Array.ConvertAll(partitions, partition => partition.Request);
    }

    /// <summary>Why nothing is fetched; None if it is.</summary>
    public ErrorCode Error { get; private init; }

    /// <summary>Each partition once, in the order in which they are read.</summary>
    public SessionPartition[] Partitions { get; }

    /// <summary>What is asked of each now; a later request of the session may change what the partition says.</summary>
    public FetchRequest.FetchPartition[] Requests { get; }

    public static FetchContext Refused(ErrorCode error) => new([]) { Error = error };

    /// <summary>A fetch that names all its partitions.</summary>
    /// <param name="opensIn">Where it opens a session; null for none.</param>
    public static FetchContext Full(FetchRequest request, FetchSessions? opensIn, bool byTopicId)
    {
        var partitions = new List<SessionPartition>();
        Dictionary<FetchKey, SessionPartition>? known = request.Topics is [] or [{ Partitions.Length: 1 }] ? null : [];
        foreach (FetchRequest.FetchTopic topic in request.Topics)
        {
            foreach (FetchRequest.FetchPartition partition in topic.Partitions)
            {
                // A partition that is named more than once is served in its first place, as it was named last.
                var key = new FetchKey(topic.Topic, topic.TopicId, partition.Partition);
                if (known?.TryGetValue(key, out SessionPartition? earlier) == true)
                {
                    earlier.Request = partition;
                    continue;
                }

                var added = new SessionPartition(key, partition);
                known?.Add(key, added);
                partitions.Add(added);
            }
        }

        return new FetchContext([.. partitions], opensIn: opensIn, byTopicId: byTopicId);
    }

    /// <summary>A fetch of a session's partitions.</summary>
    public static FetchContext Incremental(FetchSession session, int epoch, SessionPartition[] partitions) =>
        new(partitions, session, epoch);

    /// <summary>The response. Within a session it names only the partitions that have something new.</summary>
    /// <param name="answers">One for each of <see cref="Partitions"/>.</param>
    /// <param name="isKnown">Whether each partition exists; those that do not are named last, as in Kafka.</param>
    public FetchResponse Complete(PartitionData[] answers, Func<int, bool> isKnown)
    {
        bool[]? isNew = null;
        int id = 0;
        if (_session is not null)
        {
            isNew = _session.TryAnswer(_epoch, Partitions, answers);
            id = _session.Id;
            if (isNew is null)
                return new FetchResponse { ErrorCode = ErrorCode.InvalidFetchSessionEpoch, SessionId = id };
        }
        else if (_opensIn is not null)
        {
            for (int i = 0; i < answers.Length; i++)
                Partitions[i].Update(answers[i]);

            id = _opensIn.TryOpen(Partitions, _byTopicId);
        }

        var topics = new List<FetchResponse.FetchableTopicResponse>();
        var partitions = new List<PartitionData>();
        FetchKey current = default;
        foreach (bool known in (ReadOnlySpan<bool>)[true, false])
        {
            for (int i = 0; i < answers.Length; i++)
            {
                if (isKnown(i) != known || isNew?[i] == false)
                    continue;

                FetchKey key = Partitions[i].Key;
                if (partitions.Count > 0 && (key.Topic != current.Topic || key.TopicId != current.TopicId))
                    AddTopic();

                current = key;
                partitions.Add(answers[i]);
            }
        }

        if (partitions.Count > 0)
            AddTopic();

        return new FetchResponse { SessionId = id, Responses = [.. topics] };

        void AddTopic()
        {
            topics.Add(new() { Topic = current.Topic, TopicId = current.TopicId, Partitions = [.. partitions] });
            partitions.Clear();
        }
    }
}
