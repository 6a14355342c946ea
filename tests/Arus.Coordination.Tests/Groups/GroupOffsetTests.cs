namespace Arus.Coordination.Tests.Groups;

/// <summary>Committed offsets, what they wait for, and what survives a restart.</summary>
public sealed class GroupOffsetTests
{
    [Fact]
    public void Only_members_of_the_generation_commit() => GroupScript.Check("""
            > join 1
                0 write CompletingRebalance gen=1 c-1[]
                0 1: join c-1 gen=1 range leader=c-1 of c-1
            > commit 2 c-1 1 t-0=5
                0 2: RebalanceInProgress
            > sync 3 c-1 1 c-1=all
                0 write Stable gen=1 c-1[all]
                0 3: sync range [all]
            > commit 4 c-1 1 t-0=5 t-1=7'note
                0 write t-0=5 t-1=7'note'
                0 4: None None
            > commit 5 c-1 0 t-0=4
                0 5: IllegalGeneration
            > commit 6 - -1 t-0=4
                0 6: UnknownMemberId
            > commit 7 c-9 1 t-0=4
                0 7: UnknownMemberId
            > fetch 8 t-1 t-2
                0 8: t-1=7'note' t-2=none
            > fetch 9
                0 9: t-0=5 t-1=7'note'
            # Members of the last generation hand over while the next is joined.
            > join 10
            > commit 11 c-1 1 t-0=6
                0 write t-0=6
                0 11: None
            > join 12 member=c-1
                0 write CompletingRebalance gen=2 c-1[] c-2[]
                0 12: join c-1 gen=2 range leader=c-1 of c-1,c-2
                0 10: join c-2 gen=2 range leader=c-1
            > commit 13 c-1 2 t-0=7
                0 13: RebalanceInProgress
            > leave c-1 c-2
                0 None None
                0 write Empty gen=3
            > commit 14 c-1 2 t-0=8
                0 14: UnknownMemberId
            > fetch 15 t-0
                0 15: t-0=6
            """);

    [Fact]
    public void Replies_wait_for_the_writes_they_depend_on() => GroupScript.Check("""
            > hold
            > commit 1 - -1 t-0=1
            > write
                0 write Empty gen=0 t-0=1
            > commit 2 - -1 t-0=2
            > commit 3 - -1 t-0=3 t-1=1
            > fetch 4 t-0
            > written
                0 1: None
            > write
                0 write t-0=3 t-1=1
            > written
                0 2: None
                0 3: None None
                0 4: t-0=3
            > join 5
            > write
                0 write CompletingRebalance gen=1 c-1[]
            > heartbeat c-1 1
                0 None
            > join 6 member=c-1
            > written
                0 5: join c-1 gen=1 range leader=c-1 of c-1
                0 6: join c-1 gen=1 range leader=c-1 of c-1
            > sync 7 c-1 1 c-1=all
            > write
                0 write Stable gen=1 c-1[all]
            > restart
            # The assignment was not stored: those who were told of the generation join again.
            > heartbeat c-1 1
                0 RebalanceInProgress
            > sync 8 c-1 1
                0 8: sync RebalanceInProgress
            > fetch 9
                0 9: t-0=3 t-1=1
            """);

    [Fact]
    public void A_coordinator_that_restarts_knows_its_members_and_offsets() => GroupScript.CheckWithMember("""
            > commit 3 c-1 1 t-0=5
                0 write t-0=5
                0 3: None
            > restart
            > heartbeat c-1 1
                0 None
            > fetch 4
                0 4: t-0=5
            > describe
                0 Stable gen=1 'consumer' 'range' c-1[all]
            > advance 10000
            10000 write Empty gen=2
            > describe
            10000 Empty gen=2 'consumer' ''
            > restart
            > describe
            10000 Empty gen=2 'consumer' ''
            """);

    [Fact]
    public void Groups_and_offsets_are_deleted_only_when_nobody_needs_them() => GroupScript.Check("""
            > delete 1
                0 1: GroupIdNotFound
            > delete-offsets 2 t-0
                0 2: GroupIdNotFound
            > join 3
                0 write CompletingRebalance gen=1 c-1[]
                0 3: join c-1 gen=1 range leader=c-1 of c-1
            > sync 4 c-1 1 c-1=all
                0 write Stable gen=1 c-1[all]
                0 4: sync range [all]
            > commit 5 c-1 1 t-0=5 u-0=6
                0 write t-0=5 u-0=6
                0 5: None None
            > delete 6
                0 6: NonEmptyGroup
            > delete-offsets 7 t-0 u-0
                0 write u-0=none
                0 7: GroupSubscribedToTopic None
            > leave c-1
                0 None
                0 write Empty gen=2
            > delete-offsets 8 t-0
                0 write t-0=none
                0 8: None
            > fetch 9
                0 9: nothing
            > commit 10 - -1 t-0=3'reset
                0 write t-0=3'reset'
                0 10: None
            > delete 11
                0 write clear
                0 11: None
            > describe
                0 Dead gen=0 '' ''
            > fetch 12
                0 12: nothing
            > commit 13 - -1 t-0=1
                0 write Empty gen=0 t-0=1
                0 13: None
            > restart
            > fetch 14
                0 14: t-0=1
            """);

    [Fact]
    public void Offsets_of_a_deleted_topic_are_forgotten_and_another_one_of_its_name_inherits_none() => GroupScript.Check("""
            > commit 1 - -1 t-0=5 t-1=6 u-0=7
                0 write Empty gen=0 t-0=5 t-1=6 u-0=7
                0 1: None None None
            > topics
                0 t@1 u@1
            > topics t v
                0 t@1
            > keep t 1
            > keep t 2
                0 write t-0=none t-1=none
            > fetch 2
                0 2: u-0=7
            > commit 3 - -1 t@2-1=1
                0 write t-1=1
                0 3: None
            > restart
            > topics
                0 t@2 u@1
            > keep u 0
                0 write u-0=none
            > fetch 4
                0 4: t-1=1
            """);

    [Fact]
    public void A_commit_for_a_deleted_topic_leaves_those_of_another_of_its_name_alone() => GroupScript.Check("""
            > commit 1 - -1 t@2-0=5
                0 write Empty gen=0 t-0=5
                0 1: None
            > commit 2 - -1 t@1-0=99 u-0=1
                0 write u-0=1
                0 2: UnknownTopicId None
            > commit 3 - -1 t@0-1=99
                0 3: UnknownTopicOrPartition
            > fetch 4 t-0 t-1
                0 4: t-0=5 t-1=none
            """);

    [Fact]
    public void Metadata_counts_characters_and_not_bytes() => GroupScript.Check("""
            > commit 1 - -1 t-0=1'ééééé t-1=1'éééééé
                0 write Empty gen=0 t-0=1'ééééé'
                0 1: None OffsetMetadataTooLarge
            """,
        new GroupOptions(BrokerConfig.Default) { OffsetMetadataMaxLength = 5 });

    [Fact]
    public void Metadata_that_is_too_long_is_refused_for_its_partition_alone() => GroupScript.Check("""
            > commit 1 - -1 t-0=1'four t-1=1'sixsix
                0 write Empty gen=0 t-0=1'four'
                0 1: None OffsetMetadataTooLarge
            """,
        new GroupOptions(BrokerConfig.Default) { OffsetMetadataMaxLength = 5 });

    [Fact]
    public void Offsets_of_a_consumer_without_a_group_expire_by_their_commit() => GroupScript.Check("""
            > commit 1 - -1 t-0=1
                0 write Empty gen=0 t-0=1
                0 1: None
            > advance 300
            > commit 2 - -1 t-1=1
              300 write t-1=1
              300 2: None
            > advance 800
             1000 write t-0=none
            > fetch 3
             1100 3: t-1=1
            > advance 900
             1300 write clear
            > describe
             2000 Dead gen=0 '' ''
            """,
        Retention);

    [Fact]
    public void Offsets_of_a_group_expire_by_its_last_member() => GroupScript.CheckWithMember("""
            > commit 3 c-1 1 t-0=1 u-0=1
                0 write t-0=1 u-0=1
                0 3: None None
            # The member reads t, and no longer u.
            > advance 5000
             1000 write u-0=none
            > leave c-1
             5000 None
             5000 write Empty gen=2
            > restart
            > advance 999
            > fetch 4
             5999 4: t-0=1
            > advance 101
             6000 write clear
            """,
        Retention);

    private static GroupOptions Retention =>
        new(BrokerConfig.Default) { InitialRebalanceDelayMs = 0, OffsetsRetentionMs = 1_000, OffsetsRetentionCheckIntervalMs = 100 };
}
