namespace Arus.Coordination.Tests.Groups;

/// <summary>Offsets that are committed in transactions: what is pending, who may commit, and what ends it.</summary>
public sealed class GroupTransactionTests
{
    [Fact]
    public void Offsets_count_when_their_transaction_is_committed_and_vanish_when_it_is_aborted() => GroupScript.Check("""
            > commit 1 - -1 t-0=5
                0 write Empty gen=0 t-0=5
                0 1: None
            > guard 9
            > txn-commit 2 9,0,1! - -1 t-0=8'note t-1=3
                0 write t-0=5?8'note'(9,0) t-1=?3(9,0)
                0 2: None None
            > fetch 3 t-0 t-1
                0 3: t-0=5 t-1=none
            > fetch-stable 4 t-0 t-1 t-2
                0 4: t-0=UnstableOffsetCommit t-1=UnstableOffsetCommit t-2=none
            > fetch-stable 5
                0 5: t-0=UnstableOffsetCommit
            # The group is a participant already.
            > txn-commit 6 9,0,0 - -1 t-0=9
                0 write t-0=5?9(9,0)
                0 6: None
            > restart
            > fetch-stable 7 t-0
                0 7: t-0=UnstableOffsetCommit
            > end 8 9,0,1 commit
                0 write t-0=9 t-1=3
                0 8: None None
            > fetch-stable 9
                0 9: t-0=9 t-1=3
            # Repeated, since the answer was lost.
            > end 10 9,0,1 commit
                0 10: nothing
            > guard 9
            > txn-commit 11 9,0,1! - -1 t-0=20 t-2=1
                0 write t-0=9?20(9,0) t-2=?1(9,0)
                0 11: None None
            > end 12 9,0,1 abort
                0 write t-0=9 t-2=none
                0 12: None None
            > fetch-stable 13 t-0 t-2
                0 13: t-0=9 t-2=none
            """);

    [Fact]
    public void The_end_is_answered_when_it_is_durable() => GroupScript.Check("""
            > hold
            > guard 9
            > txn-commit 1 9,0,1! - -1 t-0=8
            > end 2 9,0,1 commit
            > fetch 3 t-0
            > write
                0 write Empty gen=0 t-0=8
            > written
                0 1: None
                0 2: None
                0 3: t-0=8
            """);

    [Fact]
    public void A_transaction_that_ended_while_its_coordinator_was_asked_leaves_nothing_behind() => GroupScript.Check("""
            > guard 9
            > end 1 9,1,1 abort
                0 1: nothing
            > txn-commit 2 9,0,1! - -1 t-0=8
                0 2: InvalidTxnState
            # Another producer's end does not matter.
            > guard 9
            > end 3 8,1,1 abort
                0 3: nothing
            > txn-commit 4 9,1,1! - -1 t-0=8
                0 write Empty gen=0 t-0=?8(9,1)
                0 4: None
            > end 5 9,1,1 commit
                0 write t-0=8
                0 5: None
            # Nobody has asked the coordinator, and nothing is pending any more.
            > txn-commit 6 9,1,1 - -1 t-0=9
                0 6: InvalidTxnState
            """);

    [Fact]
    public void Older_epochs_are_fenced() => GroupScript.Check("""
            > guard 9
            > txn-commit 1 9,5,3! - -1 t-0=8
                0 write Empty gen=0 t-0=?8(9,5)
                0 1: None
            > guard 9
            > txn-commit 2 9,4,3! - -1 t-0=7
                0 2: InvalidProducerEpoch
            > txn-commit 3 9,6,3! - -1 t-0=7
                0 3: InvalidTxnState
            # Markers of an earlier coordinator, of an earlier epoch, and of the transaction before where each end raises the epoch.
            > end 4 9,5,2 commit
                0 4: TransactionCoordinatorFenced
            > end 5 9,4,3 commit
                0 5: InvalidProducerEpoch
            > end 6 9,5,3 commit raised
                0 6: InvalidProducerEpoch
            > restart
            > end 7 9,5,2 commit
                0 7: TransactionCoordinatorFenced
            > fetch-stable 8 t-0
                0 8: t-0=UnstableOffsetCommit
            > end 9 9,6,4 commit raised
                0 write t-0=8
                0 9: None
            """);

    [Fact]
    public void Of_two_commits_the_later_counts_whichever_transaction_ends_first() => GroupScript.Check("""
            > guard 1
            > txn-commit 1 1,0,1! - -1 t-0=10 t-1=10
                0 write Empty gen=0 t-0=?10(1,0) t-1=?10(1,0)
                0 1: None None
            > guard 2
            > txn-commit 2 2,0,1! - -1 t-0=20
                0 write t-0=?10(1,0)?20(2,0)
                0 2: None
            > restart
            > end 3 2,0,1 commit
                0 write t-0=20
                0 3: None
            > end 4 1,0,1 commit
                0 write t-1=10
                0 4: None
            # Aborted, it leaves the other one as it is.
            > guard 1
            > txn-commit 5 1,0,1! - -1 t-0=30
                0 write t-0=20?30(1,0)
                0 5: None
            > guard 2
            > txn-commit 6 2,0,1! - -1 t-0=40
                0 write t-0=20?30(1,0)?40(2,0)
                0 6: None
            > end 7 2,0,1 abort
                0 write t-0=20?30(1,0)
                0 7: None
            # A commit outside of transactions is the later one, too.
            > commit 8 - -1 t-0=1
                0 write t-0=1
                0 8: None
            > end 9 1,0,1 commit
                0 9: nothing
            > fetch-stable 10
                0 10: t-0=1 t-1=10
            """);

    [Fact]
    public void Producers_that_say_for_whom_they_commit_are_fenced_by_generation_member_and_instance() => GroupScript.Check("""
            > guard 9
            > txn-commit 1 9,0,1! c-1 1 t-0=5
                0 1: GroupIdNotFound
            > join 2 instance=i
                0 write CompletingRebalance gen=1 i-1[]
                0 2: join i-1 gen=1 range leader=i-1 of i-1
            # Unlike a commit outside of transactions: it counts later, if at all.
            > txn-commit 3 9,0,1! i-1/i 1 t-0=5
                0 write t-0=?5(9,0)
                0 3: None
            > sync 4 i-1 1 i-1=all
                0 write Stable gen=1 i-1[all]
                0 4: sync range [all]
            > txn-commit 5 9,0,1! i-1 0 t-0=6
                0 5: IllegalGeneration
            > txn-commit 6 9,0,1! i-2 1 t-0=6
                0 6: UnknownMemberId
            > txn-commit 7 9,0,1! i-2/i 1 t-0=6
                0 7: FencedInstanceId
            > txn-commit 8 9,0,1! i-1 -1 t-0=6
                0 8: IllegalGeneration
            # A producer of an older version says nothing.
            > txn-commit 9 9,0,1! - -1 t-0=6
                0 write t-0=?6(9,0)
                0 9: None
            > commit 10 - -1 t-0=6
                0 10: UnknownMemberId
            """);

    [Fact]
    public void What_is_pending_keeps_group_and_offsets_from_expiring() => GroupScript.Check("""
            > commit 1 - -1 t-0=5 t-1=5
                0 write Empty gen=0 t-0=5 t-1=5
                0 1: None None
            > guard 9
            > txn-commit 2 9,0,1! - -1 t-0=6
                0 write t-0=5?6(9,0)
                0 2: None
            > advance 5000
             3000 write t-1=none
            > end 3 9,0,1 abort
             5000 write t-0=5
             5000 3: None
            > advance 2000
             6000 write clear
            """, new GroupOptions(BrokerConfig.Default) { OffsetsRetentionMs = 3_000, OffsetsRetentionCheckIntervalMs = 1_000 });

    [Fact]
    public void Who_deletes_offsets_a_topic_or_the_group_deletes_what_is_pending() => GroupScript.Check("""
            > guard 9
            > txn-commit 1 9,0,1! - -1 t-0=5 t-1=6 u-0=7
                0 write Empty gen=0 t-0=?5(9,0) t-1=?6(9,0) u-0=?7(9,0)
                0 1: None None None
            > topics
                0 t@1 u@1
            > delete-offsets 2 t-0
                0 write t-0=none
                0 2: None
            > keep u 2
                0 write u-0=none
            > end 3 9,0,1 commit
                0 write t-1=6
                0 3: None
            > guard 9
            > txn-commit 4 9,0,1! - -1 t-1=8 t@2-2=9
                0 write t-1=6?8(9,0) t-2=?9(9,0)
                0 4: None None
            > commit 5 - -1 t@3-2=1
                0 5: UnknownTopicId
            > delete 6
                0 write clear
                0 6: None
            > end 7 9,0,1 commit
                0 7: nothing
            > describe
                0 Dead gen=0 '' ''
            """);
}
