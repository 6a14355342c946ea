using System.Diagnostics;
using Arus.Protocol;
using MemberProtocol = Arus.Protocol.JoinGroupRequest.JoinGroupRequestProtocol;

namespace Arus.Coordination;

/// <summary>The members of a group, in the order in which they joined it, and which of them leads.</summary>
internal sealed class GroupMembers
{
    private readonly OrderedDictionary<string, GroupMember> _byId = new(StringComparer.Ordinal);
    private readonly Dictionary<string, GroupMember> _byInstanceId = new(StringComparer.Ordinal);

    public int Count => _byId.Count;

    public OrderedDictionary<string, GroupMember>.ValueCollection All => _byId.Values;

    /// <summary>The member that computes assignments; "" without members.</summary>
    public string LeaderId { get; private set; } = "";

    public int RebalanceTimeoutMs => _byId.Values.Select(member => member.RebalanceTimeoutMs).DefaultIfEmpty(0).Max();

    public GroupMember? Find(string memberId) => _byId.GetValueOrDefault(memberId);

    public GroupMember? FindStatic(string instanceId) => _byInstanceId.GetValueOrDefault(instanceId);

    /// <summary>The checks that every request of a member passes. <paramref name="member"/> is null if and only if it fails them.</summary>
    public ErrorCode Check(string memberId, string? instanceId, out GroupMember? member)
    {
        member = null;
        if (instanceId is not null)
        {
            if (!_byInstanceId.TryGetValue(instanceId, out GroupMember? current))
                return ErrorCode.UnknownMemberId;

            if (current.MemberId != memberId)
                return ErrorCode.FencedInstanceId;
        }

        return _byId.TryGetValue(memberId, out member) ? ErrorCode.None : ErrorCode.UnknownMemberId;
    }

    /// <summary>Whether the sender may commit. <paramref name="member"/> is null for a consumer without a group, and for a tool.</summary>
    public ErrorCode CheckCommit(OffsetCommitRequest request, GroupState state, int generation, out GroupMember? member)
    {
        member = null;
        if (request.GenerationIdOrMemberEpoch < 0 && state is GroupState.Empty or GroupState.Dead)
            return ErrorCode.None;

        // Members own the offsets of a group that has any. While members join, those of the last generation may still commit: that is how
        // they hand over. Once the next one is announced the member has its join response, and must take it before it commits.
        ErrorCode error = Check(request.MemberId, request.GroupInstanceId, out member);
        return state == GroupState.Dead ? ErrorCode.GroupIdNotFound
            : error != ErrorCode.None ? error
            : request.GenerationIdOrMemberEpoch != generation ? ErrorCode.IllegalGeneration
            : state == GroupState.CompletingRebalance ? ErrorCode.RebalanceInProgress
            : ErrorCode.None;
    }

    /// <summary>
    /// Whether the sender of a commit in a transaction may commit (KIP-447). Producers of older versions do not say for which member they
    /// do; and none has to wait for an assignment, since the end of the transaction decides.
    /// </summary>
    public ErrorCode CheckTransactionalCommit(OffsetCommitRequest request, GroupState state, int generation)
    {
        bool hasGeneration = request.GenerationIdOrMemberEpoch >= 0;
        if (state == GroupState.Dead)
            return hasGeneration ? ErrorCode.GroupIdNotFound : ErrorCode.None;

        bool namesMember = hasGeneration || request.MemberId.Length > 0 || request.GroupInstanceId is not null;
        if (!namesMember || (!hasGeneration && state == GroupState.Empty))
            return ErrorCode.None;

        ErrorCode error = Check(request.MemberId, request.GroupInstanceId, out _);
        return error != ErrorCode.None ? error
            : request.GenerationIdOrMemberEpoch != generation ? ErrorCode.IllegalGeneration
            : ErrorCode.None;
    }

    public void Add(GroupMember member)
    {
        _byId.Add(member.MemberId, member);
        if (member.InstanceId is not null)
            _byInstanceId.Add(member.InstanceId, member);

        if (LeaderId.Length == 0)
            LeaderId = member.MemberId;
    }

    /// <summary>Removes a member; the longest-standing one leads in its place.</summary>
    public void Remove(GroupMember member)
    {
        _byId.Remove(member.MemberId);
        if (member.InstanceId is not null)
            _byInstanceId.Remove(member.InstanceId);

        if (LeaderId == member.MemberId)
            LeaderId = Count > 0 ? _byId.GetAt(0).Key : "";
    }

    /// <summary>Gives a member another id; it keeps its place, and the lead.</summary>
    public void Rename(GroupMember member, string memberId)
    {
        int index = _byId.IndexOf(member.MemberId);
        _byId.RemoveAt(index);
        _byId.Insert(index, memberId, member);
        LeaderId = LeaderId == member.MemberId ? memberId : LeaderId;
        member.MemberId = memberId;
    }

    /// <summary>The leader stays if it has joined; otherwise the first that has takes its place. False if none has.</summary>
    public bool ElectLeader()
    {
        if (Find(LeaderId) is { Joined: true })
            return true;

        GroupMember? first = _byId.Values.FirstOrDefault(member => member.Joined);
        LeaderId = first?.MemberId ?? LeaderId;
        return first is not null;
    }

    public bool HaveRoomFor(JoinGroupRequest request, GroupState state, int maxSize)
    {
        GroupMember? member = Find(request.MemberId);
        bool known = member is not null || (request.GroupInstanceId is not null && FindStatic(request.GroupInstanceId) is not null);
        return state switch
        {
            GroupState.Empty => true,
            // Members of the last generation that do not come back leave their places to others.
            GroupState.PreparingRebalance => (member?.Joined ?? false) || All.Count(other => other.Joined) < maxSize,
            _ => known || Count < maxSize,
        };
    }

    /// <summary>
    /// Whether what this member says of itself, beside what the others say, stays below the limit: it is stored, and goes to the leader.
    /// </summary>
    public bool HaveRoomForMetadata(JoinGroupRequest request, Caller caller, long maxBytes)
    {
        GroupMember? before = Find(request.MemberId)
            ?? (request.GroupInstanceId is null ? null : FindStatic(request.GroupInstanceId));
        long bytes = caller.ClientId.Length + (request.GroupInstanceId?.Length ?? 0) + GroupMember.SizeOf(request.Protocols);
        return bytes + All.Sum(member => member == before ? 0 : member.SizeInBytes) <= maxBytes;
    }

    /// <summary>Whether all members support one of these protocols.</summary>
    public bool HaveInCommon(IEnumerable<MemberProtocol> protocols) => protocols.Any(protocol => AllSupport(protocol.Name));

    /// <summary>Each votes for the first of its protocols that all support; of equals, the longest-standing member's first wins.</summary>
    public string SelectProtocol()
    {
        var votes = new OrderedDictionary<string, int>(StringComparer.Ordinal);
        foreach (MemberProtocol protocol in _byId.GetAt(0).Value.Protocols.Where(protocol => AllSupport(protocol.Name)))
            votes[protocol.Name] = 0;

        Debug.Assert(votes.Count > 0, "The members have no protocol in common, though each was checked when it joined.");
        foreach (GroupMember member in _byId.Values)
            votes[member.Protocols.First(protocol => votes.ContainsKey(protocol.Name)).Name]++;

        return votes.MaxBy(vote => vote.Value).Key;
    }

    /// <summary>The topics that consumers subscribe to under a protocol; null for all, if a subscription cannot be read.</summary>
    public HashSet<string>? SubscribedTopics(string protocolName)
    {
        var topics = new HashSet<string>(StringComparer.Ordinal);
        foreach (GroupMember member in _byId.Values)
        {
            if (member.SubscribedTopics(protocolName) is not { } subscribed)
                return null;

            topics.UnionWith(subscribed);
        }

        return topics;
    }

    /// <summary>The members that support a protocol, for storage.</summary>
    public GroupMetadata.Member[] TakeSnapshot(string protocolName, bool withAssignments) =>
        [.. _byId.Values.Where(member => member.Supports(protocolName)).Select(member => new GroupMetadata.Member
        {
            MemberId = member.MemberId,
            InstanceId = member.InstanceId,
            ClientId = member.ClientId,
            ClientHost = member.ClientHost,
            SessionTimeoutMs = member.SessionTimeoutMs,
            RebalanceTimeoutMs = member.RebalanceTimeoutMs,
            Metadata = member.MetadataFor(protocolName),
            Assignment = withAssignments ? member.Assignment : default,
        })];

    /// <summary>Adds the members that were stored; their sessions begin anew.</summary>
    public void Restore(GroupMetadata snapshot, long nowMs)
    {
        foreach (GroupMetadata.Member stored in snapshot.Members)
        {
            Add(new GroupMember(stored.MemberId, stored.InstanceId)
            {
                ClientId = stored.ClientId,
                ClientHost = stored.ClientHost,
                SessionTimeoutMs = stored.SessionTimeoutMs,
                RebalanceTimeoutMs = stored.RebalanceTimeoutMs,
                Protocols = [new MemberProtocol { Name = snapshot.ProtocolName, Metadata = stored.Metadata }],
                Assignment = stored.Assignment,
                SessionDeadline = nowMs + stored.SessionTimeoutMs,
            });
        }

        LeaderId = _byId.ContainsKey(snapshot.LeaderId) ? snapshot.LeaderId : LeaderId;
    }

    [Conditional("DEBUG")]
    public void CheckInvariants(GroupState state)
    {
        Debug.Assert(LeaderId.Length == 0 ? Count == 0 : _byId.ContainsKey(LeaderId), "The leader of a group is one of its members.");
        foreach ((string id, GroupMember member) in _byId)
        {
            Debug.Assert(member.MemberId == id, "A member is listed under its id.");
            Debug.Assert(
                member.InstanceId is null || _byInstanceId[member.InstanceId] == member,
                "An instance id belongs to the member that has it.");
            GroupState awaits = member.Waiting is { IsJoin: true } ? GroupState.PreparingRebalance : GroupState.CompletingRebalance;
            Debug.Assert(member.Waiting is null || state == awaits, "Joins wait for all to join, and syncs for the leader's assignment.");
            bool hasSession = member.SessionDeadline != GroupMember.Never;
            Debug.Assert(hasSession == member.Waiting is null, "A session runs unless a call of the member waits.");
        }
    }

    private bool AllSupport(string protocolName) => _byId.Values.All(member => member.Supports(protocolName));
}
