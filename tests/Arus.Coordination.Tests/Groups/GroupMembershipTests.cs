using Arus.Protocol;

namespace Arus.Coordination.Tests.Groups;

/// <summary>Joining, syncing, heartbeats, leaving; one rule of the protocol a script.</summary>
public sealed class GroupMembershipTests
{
    [Fact]
    public void A_member_joins_syncs_and_leaves() => GroupScript.Check("""
            > join 1 known
                0 1: join MemberIdRequired c-1
            > join 2 known member=c-1
                0 write CompletingRebalance gen=1 c-1[]
                0 2: join c-1 gen=1 range leader=c-1 of c-1
            > sync 3 c-1 1 c-1=all
                0 write Stable gen=1 c-1[all]
                0 3: sync range [all]
            > heartbeat c-1 1
                0 None
            > describe
                0 Stable gen=1 'consumer' 'range' c-1[all]
            > leave c-1
                0 None
                0 write Empty gen=2
            > describe
                0 Empty gen=2 'consumer' ''
            """);

    [Fact]
    public void A_second_member_brings_a_second_generation() => GroupScript.CheckWithMember("""
            > join 3
            > heartbeat c-1 1
                0 RebalanceInProgress
            > join 4 member=c-1
                0 write CompletingRebalance gen=2 c-1[] c-2[]
                0 4: join c-1 gen=2 range leader=c-1 of c-1,c-2
                0 3: join c-2 gen=2 range leader=c-1
            > sync 5 c-2 2
            > heartbeat c-2 2
                0 None
            > sync 6 c-1 2 c-1=a c-2=b
                0 write Stable gen=2 c-1[a] c-2[b]
                0 6: sync range [a]
                0 5: sync range [b]
            > sync 7 c-2 2
                0 7: sync range [b]
            # A follower that joins without need hears how things stand; a leader that does so starts a rebalance.
            > join 8 member=c-2
                0 8: join c-2 gen=2 range leader=c-1
            > join 9 member=c-1
            > heartbeat c-2 2
                0 RebalanceInProgress
            """);

    [Fact]
    public void The_first_rebalance_waits_for_more_members_while_they_come() => GroupScript.Check("""
            > join 1
            > advance 1000
            > join 2
            > advance 2000
            > advance 2999
             4000 1: join pending c-1
             5000 2: join pending c-2
            > advance 1
             6000 write CompletingRebalance gen=1 c-1[] c-2[]
            """, new GroupOptions(BrokerConfig.Default));

    [Fact]
    public void A_long_wait_is_answered_pending_and_taken_up_again() => GroupScript.CheckWithMember("""
            > join 3
            > advance 3999
            > heartbeat c-1 1
             3999 RebalanceInProgress
            > advance 1
             4000 3: join pending c-2
            # The call of the new member was answered; it repeats it with its id and takes its place again.
            > join 4 member=c-2
            > advance 4000
             8000 4: join pending c-2
            > heartbeat c-1 1
             8000 RebalanceInProgress
            > join 5 member=c-2
            > join 6 member=c-1
             8000 write CompletingRebalance gen=2 c-1[] c-2[]
             8000 6: join c-1 gen=2 range leader=c-1 of c-1,c-2
             8000 5: join c-2 gen=2 range leader=c-1
            > sync 7 c-2 2
            > advance 4000
            12000 7: sync pending
            > sync 8 c-2 2
            > sync 9 c-1 2 c-1=a c-2=b
            12000 write Stable gen=2 c-1[a] c-2[b]
            12000 9: sync range [a]
            12000 8: sync range [b]
            """);

    [Fact]
    public void A_rebalance_goes_on_without_members_that_do_not_come_in_time() => GroupScript.Check("""
            > join 1 session=30000 rebalance=7000
                0 write CompletingRebalance gen=1 c-1[]
                0 1: join c-1 gen=1 range leader=c-1 of c-1
            > sync 2 c-1 1 c-1=all
                0 write Stable gen=1 c-1[all]
                0 2: sync range [all]
            > join 3 session=30000 rebalance=7000
            # c-1 lives but does not come.
            > advance 4000
             4000 3: join pending c-2
            > join 4 member=c-2 session=30000 rebalance=7000
            > heartbeat c-1 1
             4000 RebalanceInProgress
            > advance 3000
             7000 write CompletingRebalance gen=2 c-2[]
             7000 4: join c-2 gen=2 range leader=c-2 of c-2
            > heartbeat c-1 1
             7000 UnknownMemberId
            """);

    [Fact]
    public void A_session_that_expires_hands_the_partitions_to_the_others() => GroupScript.Check("""
            > join 1 session=10000
                0 write CompletingRebalance gen=1 c-1[]
                0 1: join c-1 gen=1 range leader=c-1 of c-1
            > join 2 session=10000
            > join 3 member=c-1
                0 write CompletingRebalance gen=2 c-1[] c-2[]
                0 3: join c-1 gen=2 range leader=c-1 of c-1,c-2
                0 2: join c-2 gen=2 range leader=c-1
            > sync 4 c-1 2 c-1=a c-2=b
                0 write Stable gen=2 c-1[a] c-2[b]
                0 4: sync range [a]
            > sync 5 c-2 2
                0 5: sync range [b]
            > advance 9999
            > heartbeat c-1 2
             9999 None
            > advance 1
            > heartbeat c-1 2
            10000 RebalanceInProgress
            > heartbeat c-2 2
            10000 UnknownMemberId
            > join 6 member=c-1
            10000 write CompletingRebalance gen=3 c-1[]
            10000 6: join c-1 gen=3 range leader=c-1 of c-1
            > sync 7 c-1 3 c-1=all
            10000 write Stable gen=3 c-1[all]
            10000 7: sync range [all]
            > advance 10000
            20000 write Empty gen=4
            > describe
            20000 Empty gen=4 'consumer' ''
            """);

    [Fact]
    public void A_leader_that_never_assigns_is_removed() => GroupScript.Check("""
            > join 1 session=60000 rebalance=20000
                0 write CompletingRebalance gen=1 c-1[]
                0 1: join c-1 gen=1 range leader=c-1 of c-1
            > join 2 session=60000 rebalance=20000
            > join 3 member=c-1 session=60000 rebalance=20000
                0 write CompletingRebalance gen=2 c-1[] c-2[]
                0 3: join c-1 gen=2 range leader=c-1 of c-1,c-2
                0 2: join c-2 gen=2 range leader=c-1
            > sync 4 c-2 2
            > advance 4000
             4000 4: sync pending
            > sync 5 c-2 2
            > advance 4000
             8000 5: sync pending
            > sync 6 c-2 2
            > advance 4000
            12000 6: sync pending
            > sync 7 c-2 2
            > advance 4000
            16000 7: sync pending
            > sync 8 c-2 2
            # The leader never gave assignments.
            > advance 4000
            20000 8: sync pending
            > join 9 member=c-2 session=60000 rebalance=20000
            20000 write CompletingRebalance gen=3 c-2[]
            20000 9: join c-2 gen=3 range leader=c-2 of c-2
            """);

    [Fact]
    public void The_group_waits_for_an_id_it_gave_out_as_long_as_a_session() => GroupScript.Check("""
            > join 1 session=10000
                0 write CompletingRebalance gen=1 c-1[]
                0 1: join c-1 gen=1 range leader=c-1 of c-1
            > sync 2 c-1 1 c-1=all
                0 write Stable gen=1 c-1[all]
                0 2: sync range [all]
            > join 3 known session=6000
                0 3: join MemberIdRequired c-2
            > join 4 known session=6000
                0 4: join MemberIdRequired c-3
            > join 5 member=c-2 known session=6000
            > join 6 member=c-1
            # An id was given to c-3, so the group waits for it, as long as its session would last.
            > advance 4000
             4000 6: join pending c-1
             4000 5: join pending c-2
            > join 7 member=c-1
            > join 8 member=c-2 session=6000
            > advance 2000
             6000 write CompletingRebalance gen=2 c-1[] c-2[]
             6000 7: join c-1 gen=2 range leader=c-1 of c-1,c-2
             6000 8: join c-2 gen=2 range leader=c-1
            """);

    [Fact]
    public void Members_agree_on_a_protocol_by_vote() => GroupScript.Check("""
            > join 1 protocols=range:t/sticky:t
                0 write CompletingRebalance gen=1 c-1[]
                0 1: join c-1 gen=1 range leader=c-1 of c-1
            > join 2 protocols=sticky:t/range:t
            > join 3 protocols=rr:t
                0 3: join InconsistentGroupProtocol
            > join 4 type=connect protocols=range:t
                0 4: join InconsistentGroupProtocol
            > join 5 member=c-1 protocols=range:t/sticky:t/rr:t
                0 write CompletingRebalance gen=2 c-1[] c-2[]
                0 5: join c-1 gen=2 range leader=c-1 of c-1,c-2
                0 2: join c-2 gen=2 range leader=c-1
            > join 6 protocols=sticky:t/range:t
            > join 7 member=c-1 protocols=range:t/sticky:t
            > join 8 member=c-2 protocols=sticky:t/range:t
                0 write CompletingRebalance gen=3 c-1[] c-2[] c-3[]
                0 7: join c-1 gen=3 sticky leader=c-1 of c-1,c-2,c-3
                0 8: join c-2 gen=3 sticky leader=c-1
                0 6: join c-3 gen=3 sticky leader=c-1
            > sync 9 c-1 3
                0 write Stable gen=3 c-1[] c-2[] c-3[]
                0 9: sync sticky []
            """);

    [Fact]
    public void A_static_member_comes_back_without_a_rebalance_and_fences_its_past() => GroupScript.Check("""
            > join 1 instance=i
                0 write CompletingRebalance gen=1 i-1[]
                0 1: join i-1 gen=1 range leader=i-1 of i-1
            > sync 2 i-1/i 1 i-1=all
                0 write Stable gen=1 i-1[all]
                0 2: sync range [all]
            > advance 5000
            # The process restarts: same place, new id, no rebalance; the old id is fenced.
            > join 3 instance=i skip
             5000 write Stable gen=1 i-2[all]
             5000 3: join i-2 gen=1 range leader=i-2 skip of i-2
            > heartbeat i-1/i 1
             5000 FencedInstanceId
            > commit 4 i-1/i 1 t-0=1
             5000 4: FencedInstanceId
            > sync 5 i-2/i 1
             5000 5: sync range [all]
            > heartbeat i-2/i 1
             5000 None
            > join 6 instance=i
             5000 write Stable gen=1 i-3[all]
             5000 6: join i-3 gen=1 range leader=i-2
            > restart
            > heartbeat i-3/i 1
             5000 None
            > join 7 instance=i protocols=range:t,u
             5000 write CompletingRebalance gen=2 i-4[]
             5000 7: join i-4 gen=2 range leader=i-4 of i-4
            > describe
             5000 CompletingRebalance gen=2 'consumer' '' i-4[all]
            > leave -/i
             5000 None
             5000 write Empty gen=3
            > describe
             5000 Empty gen=3 'consumer' ''
            """);

    [Fact]
    public void A_static_member_that_returns_before_the_assignment_starts_over() => GroupScript.Check("""
            > join 1 instance=i
                0 write CompletingRebalance gen=1 i-1[]
                0 1: join i-1 gen=1 range leader=i-1 of i-1
            > join 2 instance=k
            > join 3 member=i-1 instance=i
                0 write CompletingRebalance gen=2 i-1[] k-2[]
                0 3: join i-1 gen=2 range leader=i-1 of i-1,k-2
                0 2: join k-2 gen=2 range leader=i-1
            > sync 4 k-2/k 2
            # The assignment is not there yet when k returns: its old id must not get it.
            > join 5 instance=k
                0 4: sync FencedInstanceId
            > join 6 member=i-1 instance=i
                0 write CompletingRebalance gen=3 i-1[] k-3[]
                0 6: join i-1 gen=3 range leader=i-1 of i-1,k-3
                0 5: join k-3 gen=3 range leader=i-1
            > sync 7 i-1/i 3 i-1=a k-3=b
                0 write Stable gen=3 i-1[a] k-3[b]
                0 7: sync range [a]
            > advance 9999
            > heartbeat i-1/i 3
             9999 None
            > join 8 member=k-3 instance=z
             9999 8: join UnknownMemberId
            > join 9 member=k-9 instance=k
             9999 9: join FencedInstanceId
            > advance 1
            """);

    [Fact]
    public void What_members_say_of_themselves_has_a_limit()
    {
        var group = new ConsumerGroup(
            new GroupOptions(BrokerConfig.Default) { InitialRebalanceDelayMs = 0 }, () => Guid.NewGuid().ToString(), 4_000, null, [], 0);
        var metadata = new byte[1 << 20];
        int joined = 0;
        string leader = "";
        for (int member = 0; member < 300; member++)
        {
            group.Receive(member, Join(metadata), new Caller($"c{member}", "/h", 3), 0);
            foreach ((_, IApiMessage message) in Drain())
            {
                var response = (JoinGroupResponse)message;
                leader = response.MemberId.Length > 0 && leader.Length == 0 ? response.MemberId : leader;
                joined += response.ErrorCode == ErrorCode.None ? 1 : 0;
                Assert.True(response.ErrorCode is ErrorCode.None or ErrorCode.GroupMaxSizeReached, $"{response.ErrorCode}");
            }
        }

        Assert.Equal(31, group.MemberCount);

        // A member that has its place may come again, with as much.
        group.Receive(1_000, Join(metadata, leader), new Caller("c0", "/h", 3), 1);
        foreach ((_, IApiMessage message) in Drain())
            Assert.NotEqual(ErrorCode.GroupMaxSizeReached, ((JoinGroupResponse)message).ErrorCode);

        JoinGroupRequest Join(byte[] bytes, string memberId = "") => new()
        {
            MemberId = memberId, ProtocolType = "consumer", SessionTimeoutMs = 10_000, RebalanceTimeoutMs = 60_000,
            Protocols = [new() { Name = "range", Metadata = bytes }],
        };

        List<Reply> Drain()
        {
            var replies = new List<Reply>();
            Effects<GroupRecords> effects;
            do
            {
                effects = group.TakeEffects(canWrite: true);
                replies.AddRange(effects.Replies);
                if (effects.Records is not null)
                    group.Written();
            }
            while (effects.Records is not null);

            return replies;
        }
    }

    [Fact]
    public void Assignments_have_a_limit()
    {
        var group = new ConsumerGroup(
            new GroupOptions(BrokerConfig.Default) { InitialRebalanceDelayMs = 0 }, () => "1", 4_000, null, [], 0);
        group.Receive(
            1,
            new JoinGroupRequest
            {
                ProtocolType = "consumer", SessionTimeoutMs = 10_000, RebalanceTimeoutMs = 60_000, Protocols = [new() { Name = "range" }],
            },
            new Caller("c", "/h", 3), 0);
        group.TakeEffects(canWrite: true);
        group.Written();
        var assignment = new byte[ConsumerGroup.MaxMetadataBytes + 1];
        group.Receive(
            2,
            new SyncGroupRequest
            {
                MemberId = "c-1", GenerationId = 1, Assignments = [new() { MemberId = "c-1", Assignment = assignment }],
            },
            default, 0);
        Reply reply = group.TakeEffects(canWrite: true).Replies.Single(reply => reply.Call == 2);
        Assert.Equal(ErrorCode.GroupMaxSizeReached, ((SyncGroupResponse)reply.Message).ErrorCode);
    }

    [Fact]
    public void Unknown_members_and_bad_session_timeouts_are_refused() => GroupScript.Check("""
            > join 1 session=5999
                0 1: join InvalidSessionTimeout
            > join 2 session=1800001
                0 2: join InvalidSessionTimeout
            > join 3 member=unknown
                0 3: join UnknownMemberId
            > sync 4 unknown 1
                0 4: sync UnknownMemberId
            > heartbeat unknown 1
                0 UnknownMemberId
            > leave unknown
                0 UnknownMemberId
            > commit 5 unknown 1 t-0=1
                0 5: GroupIdNotFound
            > describe
                0 Dead gen=0 '' ''
            """);

    [Fact]
    public void Members_leave_in_a_batch_and_waiting_calls_are_answered() => GroupScript.Check("""
            > join 1
                0 write CompletingRebalance gen=1 c-1[]
                0 1: join c-1 gen=1 range leader=c-1 of c-1
            > join 2
            > join 3 member=c-1
                0 write CompletingRebalance gen=2 c-1[] c-2[]
                0 3: join c-1 gen=2 range leader=c-1 of c-1,c-2
                0 2: join c-2 gen=2 range leader=c-1
            > join 4
            > leave c-2 c-9 c-3
                0 4: join UnknownMemberId
                0 None UnknownMemberId None
            > join 5 member=c-1
                0 write CompletingRebalance gen=3 c-1[]
                0 5: join c-1 gen=3 range leader=c-1 of c-1
            """);

    [Fact]
    public void A_full_group_refuses_new_members_and_keeps_its_own() => GroupScript.CheckWithMember("""
            > join 3
                0 3: join GroupMaxSizeReached
            > join 4 known
                0 4: join GroupMaxSizeReached
            > join 5 member=c-1
                0 write CompletingRebalance gen=2 c-1[]
                0 5: join c-1 gen=2 range leader=c-1 of c-1
            """,
        new GroupOptions(BrokerConfig.Default) { InitialRebalanceDelayMs = 0, MaxSize = 1 });
}
