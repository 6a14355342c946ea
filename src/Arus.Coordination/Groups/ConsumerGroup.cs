namespace Arus.Coordination;

/// <summary>
/// The coordinator of one group under Kafka's classic protocol, as a deterministic state machine: it has no clock, no I/O and no
/// chance of its own. Not thread-safe; a host feeds it one input at a time.
/// </summary>
/// <remarks>
/// After every call the host (1) sends what <see cref="TakeAnswers"/> returns, (2) unless a write is under way, takes the next one
/// with <see cref="TryTakeWrite"/>, makes it durable, and reports that with <see cref="Written"/>, (3) calls <see cref="Advance"/> no
/// later than <see cref="NextDeadline"/>. Changes apply in memory at once; replies that depend on them are held until they are durable.
/// When a write fails, whether it took effect is not known: the host throws the machine away, refuses the calls that wait, and starts a new
/// one from what is stored. That is also how a coordinator that lost its group to another is stopped.
/// <para>
/// All times are Unix milliseconds and must not go backwards. The rules are those of Kafka's group coordinator (KIP-62, KIP-134, KIP-345,
/// KIP-394, KIP-496, KIP-814) with one addition: a generation is made durable before any member hears of it, so that two coordinators, which
/// can exist for a while, never announce the same generation.
/// </para>
/// </remarks>
public sealed partial class ConsumerGroup
{
    /// <summary>Ids given out under KIP-394 that no member has taken up yet; more are refused.</summary>
    public const int MaxPendingMembers = 10_000;

    private const string ConsumerProtocolType = "consumer";

    private readonly GroupOptions _options;
    private readonly IMemberIdSource _memberIds;
    private readonly int _waitLimitMs;

    private readonly OrderedDictionary<string, GroupMember> _members = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _staticMembers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _pendingMembers = new(StringComparer.Ordinal);

    private readonly List<GroupAnswer> _answers = [];
    private readonly Queue<(long Sequence, GroupAnswer Answer)> _held = new();

    private bool _exists;
    private bool _stored;
    private GroupState _state;
    private int _generation;
    private string _protocolType = "";
    private string _protocolName = "";
    private string _leaderId = "";
    private long _emptySinceMs = -1;

    private long _sequence;
    private long _durable;
    private bool _clear;
    private bool _metadataChanged;

    /// <param name="options">The broker's settings.</param>
    /// <param name="memberIds">Where new member ids come from.</param>
    /// <param name="waitLimitMs">How long a join or sync waits before it is told to ask again.</param>
    /// <param name="snapshot">What is stored of the group; null if nothing is.</param>
    /// <param name="offsets">The stored offsets.</param>
    /// <param name="nowMs">The time: sessions of stored members begin anew.</param>
    public ConsumerGroup(
        GroupOptions options, IMemberIdSource memberIds, int waitLimitMs, GroupSnapshot? snapshot,
        IEnumerable<KeyValuePair<TopicPartition, StoredOffset>> offsets, long nowMs)
    {
        options.Validate();
        _options = options;
        _memberIds = memberIds;
        _waitLimitMs = waitLimitMs;
        foreach ((TopicPartition partition, StoredOffset offset) in offsets)
        {
            _offsets[partition] = offset;
        }

        if (snapshot is not null)
        {
            Restore(snapshot, nowMs);
        }

        _nextRetentionCheck = nowMs;
        NextDeadline = GroupMember.Never;
        Arm(nowMs);
    }

    /// <summary>When <see cref="Advance"/> is due at the latest; <see cref="long.MaxValue"/> for never. May be early, never late.</summary>
    public long NextDeadline { get; private set; }

    public GroupState State => _exists ? _state : GroupState.Dead;

    public int Generation => _generation;

    /// <summary>Whether <see cref="TryTakeWrite"/> has something to give.</summary>
    public bool HasChanges => _clear || _metadataChanged || _changedOffsets.Count > 0;

    /// <summary>The replies that may go out now, in order. Each is returned once.</summary>
    public IReadOnlyList<GroupAnswer> TakeAnswers()
    {
        if (_answers.Count == 0)
        {
            return [];
        }

        GroupAnswer[] answers = [.. _answers];
        _answers.Clear();
        return answers;
    }

    /// <summary>All that has changed since the last write was taken; false if nothing has.</summary>
    public bool TryTakeWrite(out GroupWrite write)
    {
        if (!HasChanges)
        {
            write = null!;
            return false;
        }

        var offsets = new KeyValuePair<TopicPartition, StoredOffset?>[_changedOffsets.Count];
        int i = 0;
        foreach (TopicPartition partition in _changedOffsets)
        {
            offsets[i++] = new(partition, _offsets.TryGetValue(partition, out StoredOffset offset) ? offset : null);
        }

        write = new GroupWrite(_sequence, _clear, _metadataChanged ? TakeSnapshot() : null, offsets);
        _clear = false;
        _metadataChanged = false;
        _changedOffsets.Clear();
        return true;
    }

    /// <summary>A write, and all before it, is durable: lets go the replies that waited for it.</summary>
    public void Written(long sequence)
    {
        _durable = Math.Max(_durable, sequence);
        while (_held.TryPeek(out (long Sequence, GroupAnswer Answer) held) && held.Sequence <= _durable)
        {
            _answers.Add(held.Answer);
            _held.Dequeue();
        }
    }

    /// <summary>Does what is due by <paramref name="nowMs"/>.</summary>
    public void Advance(long nowMs)
    {
        AnswerLongWaits(nowMs);
        ExpirePendingMembers(nowMs);
        ExpireSessions(nowMs);
        AdvanceRebalance(nowMs);
        ExpireOffsets(nowMs);
        NextDeadline = FindNextDeadline();
    }

    public GroupSummary Describe()
    {
        bool stable = _state == GroupState.Stable;
        var members = new MemberSummary[_members.Count];
        for (int i = 0; i < members.Length; i++)
        {
            GroupMember member = _members.GetAt(i).Value;
            members[i] = new MemberSummary(
                member.MemberId, member.InstanceId, member.ClientId, member.ClientHost,
                stable ? member.MetadataFor(_protocolName) : default, stable ? member.Assignment : default);
        }

        return new GroupSummary(State, _generation, _protocolType, stable ? _protocolName : "", _leaderId, members);
    }

    private long FindNextDeadline()
    {
        long next = Math.Min(_rebalanceDeadline, Math.Min(_syncDeadline, _exists ? _nextRetentionCheck : GroupMember.Never));
        foreach (GroupMember member in _members.Values)
        {
            next = Math.Min(next, member.SessionDeadline);
            next = Math.Min(next, member.Join?.AnswerBy ?? GroupMember.Never);
            next = Math.Min(next, member.Sync?.AnswerBy ?? GroupMember.Never);
        }

        foreach (long deadline in _pendingMembers.Values)
        {
            next = Math.Min(next, deadline);
        }

        return next;
    }

    private void Arm(long deadline) => NextDeadline = Math.Min(NextDeadline, deadline);

    private void Reply(long token, GroupReply reply) => _answers.Add(new GroupAnswer(token, reply));

    private void ReplyWhenDurable(long token, GroupReply reply)
    {
        if (_durable >= _sequence)
        {
            Reply(token, reply);
        }
        else
        {
            _held.Enqueue((_sequence, new GroupAnswer(token, reply)));
        }
    }

    private void MetadataChanged()
    {
        _exists = true;
        _stored = true;
        _metadataChanged = true;
        _sequence++;
    }

    private GroupSnapshot TakeSnapshot()
    {
        // By the time a write is taken the next rebalance may have begun. Then nothing of it is kept but who is there under the last
        // generation's protocol; on return they are asked to join again.
        bool assigned = _state == GroupState.Stable;
        var members = new List<MemberSnapshot>(_members.Count);
        foreach (GroupMember member in _members.Values)
        {
            if (member.Supports(_protocolName))
            {
                members.Add(new MemberSnapshot(
                    member.MemberId, member.InstanceId, member.ClientId, member.ClientHost, member.SessionTimeoutMs,
                    member.RebalanceTimeoutMs, member.MetadataFor(_protocolName), assigned ? member.Assignment : default));
            }
        }

        GroupState state = members.Count == 0 ? GroupState.Empty : assigned ? GroupState.Stable : GroupState.CompletingRebalance;
        return new GroupSnapshot(state, _generation, _protocolType, _protocolName, _leaderId, _emptySinceMs, members);
    }

    private void Restore(GroupSnapshot snapshot, long nowMs)
    {
        _exists = true;
        _stored = true;
        _generation = snapshot.Generation;
        _protocolType = snapshot.ProtocolType;
        _protocolName = snapshot.ProtocolName;
        _emptySinceMs = snapshot.Members.Count == 0 && snapshot.EmptySinceMs < 0 ? nowMs : snapshot.EmptySinceMs;
        foreach (MemberSnapshot stored in snapshot.Members)
        {
            var member = new GroupMember(stored.MemberId, stored.InstanceId, stored.ClientId, stored.ClientHost)
            {
                SessionTimeoutMs = stored.SessionTimeoutMs,
                RebalanceTimeoutMs = stored.RebalanceTimeoutMs,
                Protocols = [new ProtocolChoice(snapshot.ProtocolName, stored.Metadata)],
                Assignment = stored.Assignment,
                SessionDeadline = nowMs + stored.SessionTimeoutMs,
            };
            _members.Add(member.MemberId, member);
            if (member.InstanceId is not null)
            {
                _staticMembers[member.InstanceId] = member.MemberId;
            }
        }

        _leaderId = _members.ContainsKey(snapshot.LeaderId) ? snapshot.LeaderId : _members.Keys.FirstOrDefault("");
        _state = _members.Count == 0 ? GroupState.Empty : GroupState.Stable;
        if (_state == GroupState.Stable && snapshot.State != GroupState.Stable)
        {
            // The generation was announced, and its assignment died with the coordinator: everyone has to join again.
            PrepareRebalance(nowMs);
        }

        UpdateSubscribedTopics();
    }
}
