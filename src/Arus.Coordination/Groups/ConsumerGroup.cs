using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The coordinator of one group under Kafka's classic protocol.</summary>
/// <remarks>
/// The rules are those of Kafka's group coordinator (KIP-62, KIP-134, KIP-345, KIP-394, KIP-496, KIP-814) with one addition: a generation
/// is made durable before any member hears of it, so that two coordinators, which can exist for a while, never announce the same one.
/// <para>
/// It takes the requests of JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit, OffsetFetch, OffsetDelete, DescribeGroups and
/// DeleteGroups, topics by name, each for this group alone. A join or sync that has waited as long as a call may is answered with
/// <see cref="ErrorCode.RequestTimedOut"/>: the member repeats it with the member id of the response, and has its place again.
/// </para>
/// </remarks>
public sealed partial class ConsumerGroup : IStateMachine<GroupRecords>
{
    /// <summary>Ids given out under KIP-394 that no member has taken up yet; more are refused.</summary>
    public const int MaxPendingMembers = 10_000;

    /// <summary>
    /// What the members say of themselves may take this in all, and so may their assignments: a group is stored as one row, and its leader
    /// is told all of it in one response.
    /// </summary>
    public const long MaxMetadataBytes = 32 * 1024 * 1024;

    private const string ConsumerProtocolType = "consumer";

    private readonly GroupOptions _options;
    private readonly Func<string> _newMemberId;
    private readonly int _waitLimitMs;

    private readonly GroupMembers _members = new();
    private readonly Dictionary<string, long> _pendingMembers = new(StringComparer.Ordinal);
    private readonly CommittedOffsets _offsets;
    private readonly ReplyQueue _replies = new();

    private bool _exists;
    private bool _stored;
    private GroupState _state;
    private string _protocolType = "";
    private string _protocolName = "";
    private long _emptySinceMs = -1;

    /// <summary>The topics that members are subscribed to; null when that is not known, which stands for all.</summary>
    private HashSet<string>? _subscribedTopics = [];

    private bool _clear;
    private bool _metadataChanged;
    private long _nextDeadline = GroupMember.Never;

    /// <param name="options">The broker's settings.</param>
    /// <param name="newMemberId">The unique part of a new member's id: never the same twice, anywhere.</param>
    /// <param name="waitLimitMs">How long a join or sync waits before the caller is told to repeat it.</param>
    /// <param name="snapshot">What is stored of the group; null if nothing is.</param>
    /// <param name="offsets">The stored offsets.</param>
    /// <param name="nowMs">The time: sessions of stored members begin anew.</param>
    public ConsumerGroup(
        GroupOptions options, Func<string> newMemberId, int waitLimitMs, GroupMetadata? snapshot,
        IEnumerable<KeyValuePair<TopicPartition, StoredPartition>> offsets, long nowMs)
    {
        _options = options;
        _newMemberId = newMemberId;
        _waitLimitMs = waitLimitMs;
        _offsets = new CommittedOffsets(options, _replies, offsets);
        if (snapshot is not null)
            Restore(snapshot, nowMs);

        _nextRetentionCheck = nowMs;
        Arm(nowMs);
    }

    public GroupState State => _exists ? _state : GroupState.Dead;

    public int Generation { get; private set; }

    public int MemberCount => _members.Count;

    /// <inheritdoc/>
    public bool IsIdle => _state == GroupState.Empty && !HasChanges;

    private bool HasChanges => _clear || _metadataChanged || _offsets.HasChanges;

    /// <inheritdoc/>
    public void Receive(long call, IApiMessage request, Caller caller, long nowMs)
    {
        switch (request)
        {
            case JoinGroupRequest join:
                Join(call, join, caller, nowMs);
                break;
            case SyncGroupRequest sync:
                Sync(call, sync, nowMs);
                break;
            case OffsetCommitRequest commit:
                CommitOffsets(call, commit, nowMs);
                break;
            case HeartbeatRequest or LeaveGroupRequest or DescribeGroupsRequest:
                _replies.Send(call, Answer(request, nowMs));
                break;
            default:
                _replies.SendWhenDurable(call, Answer(request, nowMs));
                break;
        }
    }

    /// <inheritdoc/>
    public void Advance(long nowMs)
    {
        TimeOutWaits(nowMs);
        ExpirePendingMembers(nowMs);
        RemoveAndRebalance(member => member.SessionDeadline <= nowMs, nowMs);
        AdvanceRebalance(nowMs);
        ExpireOffsets(nowMs);
        _nextDeadline = FindNextDeadline();
    }

    /// <summary>
    /// The topics that the group has committed offsets of, with the ids of those topics. Before it asks for offsets a host looks up which
    /// topics have these names now, and says so to <see cref="KeepTopic"/>: nobody tells a group when a topic is deleted.
    /// </summary>
    /// <param name="names">Only of these; null for all.</param>
    public IReadOnlyList<(string Name, Guid Id)> FindCommittedTopics(IReadOnlyCollection<string>? names) => _offsets.FindTopics(names);

    /// <summary>Forgets the offsets of deleted topics of this name.</summary>
    /// <param name="present">The topic that has the name now; empty if none has.</param>
    public void KeepTopic(string name, Guid present) => _offsets.KeepTopic(name, present);

    /// <inheritdoc/>
    public void Written() => _replies.EndWrite();

    /// <inheritdoc/>
    public Effects<GroupRecords> TakeEffects(bool canWrite)
    {
        CheckInvariants();
        GroupRecords? records = null;
        if (canWrite && HasChanges)
        {
            records = new GroupRecords(_clear, _metadataChanged ? TakeSnapshot() : null, _offsets.TakeChanges());
            _clear = false;
            _metadataChanged = false;
            _replies.BeginWrite();
        }

        return new Effects<GroupRecords>(_replies.Take(), records, _nextDeadline);
    }

    private IApiMessage Answer(IApiMessage request, long nowMs) => request switch
    {
        HeartbeatRequest heartbeat => new HeartbeatResponse { ErrorCode = Heartbeat(heartbeat, nowMs) },
        LeaveGroupRequest leave => Leave(leave, nowMs),
        OffsetFetchRequest fetch => new OffsetFetchResponse
        {
            Groups = Array.ConvertAll(fetch.Groups, group => _offsets.Fetch(group, fetch.RequireStable)),
        },
        OffsetDeleteRequest delete => DeleteOffsets(delete),
        DescribeGroupsRequest describe => new DescribeGroupsResponse { Groups = Array.ConvertAll(describe.Groups, Describe) },
        DeleteGroupsRequest delete => new DeleteGroupsResponse
        {
            Results = Array.ConvertAll(
                delete.GroupsNames, id => new DeleteGroupsResponse.DeletableGroupResult { GroupId = id, ErrorCode = Delete() }),
        },
        _ => throw new ArgumentException($"A group coordinator does not take {request.GetType().Name}.", nameof(request)),
    };

    private DescribeGroupsResponse.DescribedGroup Describe(string groupId)
    {
        bool stable = _state == GroupState.Stable;
        return new()
        {
            ErrorCode = _exists ? ErrorCode.None : ErrorCode.GroupIdNotFound,
            ErrorMessage = _exists ? null : $"Group {groupId} not found.",
            GroupId = groupId,
            GroupState = State.ToString(),
            ProtocolType = _protocolType,
            ProtocolData = stable ? _protocolName : "",
            Members = [.. _members.All.Select(member => new DescribeGroupsResponse.DescribedGroupMember
            {
                MemberId = member.MemberId,
                GroupInstanceId = member.InstanceId,
                ClientId = member.ClientId,
                ClientHost = member.ClientHost,
                MemberMetadata = stable ? member.MetadataFor(_protocolName) : default,
                MemberAssignment = member.Assignment,
            })],
        };
    }

    /// <summary>Deletes the group with its offsets, unless it has members.</summary>
    private ErrorCode Delete()
    {
        ErrorCode error = !_exists ? ErrorCode.GroupIdNotFound : _state != GroupState.Empty ? ErrorCode.NonEmptyGroup : ErrorCode.None;
        if (error == ErrorCode.None)
            Vanish();

        return error;
    }

    private void Vanish()
    {
        _exists = false;
        _stored = false;
        _state = GroupState.Empty;
        Generation = 0;
        _protocolType = "";
        _emptySinceMs = -1;
        _offsets.Clear();
        _pendingMembers.Clear();
        _metadataChanged = false;
        _clear = true;
        _replies.NoteChange();
    }

    private void ExpirePendingMembers(long nowMs)
    {
        foreach (string memberId in _pendingMembers.Where(member => member.Value <= nowMs).Select(member => member.Key).ToArray())
            _pendingMembers.Remove(memberId);

        TryCompleteJoin(nowMs);
    }

    private long FindNextDeadline()
    {
        long next = Math.Min(_rebalanceDeadline, Math.Min(_syncDeadline, _exists ? _nextRetentionCheck : GroupMember.Never));
        next = _members.All.Select(member => member.NextDeadline).Append(next).Min();
        return _pendingMembers.Values.Append(next).Min();
    }

    /// <summary>Nothing may come to be due earlier than the machine has said.</summary>
    private void Arm(long deadline) => _nextDeadline = Math.Min(_nextDeadline, deadline);

    private void Create()
    {
        _exists = true;
        Arm(_nextRetentionCheck);
    }

    private void NoteMetadataChange()
    {
        Create();
        _stored = true;
        _metadataChanged = true;
        _replies.NoteChange();
    }

    private GroupMetadata TakeSnapshot()
    {
        // By the time a write is taken the next rebalance may have begun. Then nothing of it is kept but the members under the last
        // generation's protocol; on return they are asked to join again.
        bool assigned = _state == GroupState.Stable;
        GroupMetadata.Member[] members = _members.TakeSnapshot(_protocolName, assigned);
        GroupState state = members.Length == 0 ? GroupState.Empty : assigned ? GroupState.Stable : GroupState.CompletingRebalance;
        return new GroupMetadata
        {
            State = (sbyte)state,
            Generation = Generation,
            ProtocolType = _protocolType,
            ProtocolName = _protocolName,
            LeaderId = _members.LeaderId,
            EmptySinceMs = _emptySinceMs,
            Members = members,
        };
    }

    private void Restore(GroupMetadata snapshot, long nowMs)
    {
        _exists = true;
        _stored = true;
        Generation = snapshot.Generation;
        _protocolType = snapshot.ProtocolType;
        _protocolName = snapshot.ProtocolName;
        _emptySinceMs = snapshot.Members.Length == 0 && snapshot.EmptySinceMs < 0 ? nowMs : snapshot.EmptySinceMs;
        _members.Restore(snapshot, nowMs);
        _state = _members.Count == 0 ? GroupState.Empty : GroupState.Stable;
        if (_state == GroupState.Stable && (GroupState)snapshot.State != GroupState.Stable)
        {
            // The generation was announced, and its assignment was lost with the coordinator: every member has to join again.
            PrepareRebalance(nowMs);
        }

        _subscribedTopics = _members.SubscribedTopics(_protocolName);
    }

    [Conditional("DEBUG")]
    private void CheckInvariants()
    {
        _members.CheckInvariants(_state);
        Debug.Assert(_members.Count == 0 || _exists, "A group with members exists.");
        Debug.Assert(_state != GroupState.Empty || _members.Count == 0, "An empty group has no members.");
        Debug.Assert(
            _state is not (GroupState.Stable or GroupState.CompletingRebalance) || (_members.Count > 0 && Generation > 0),
            "A generation that was announced has members.");
        Debug.Assert(_state == GroupState.PreparingRebalance == (_rebalanceDeadline != GroupMember.Never), "The join phase has an end.");
        Debug.Assert(_nextDeadline <= FindNextDeadline(), "Nothing is due before the deadline that the host knows.");
    }
}
