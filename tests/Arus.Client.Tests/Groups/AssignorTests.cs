using Arus.Testing;

namespace Arus.Client.Tests.Groups;

public sealed class AssignorTests
{
    private static readonly Dictionary<string, int> TwoTopics = new() { ["t"] = 3, ["u"] = 3 };

    [Fact]
    public void Range_gives_neighbours_and_the_first_members_one_more() => Check(
        PartitionAssignors.Range, TwoTopics, [Member("a", "t", "u"), Member("b", "t", "u")],
        "a: t-0 t-1 u-0 u-1", "b: t-2 u-2");

    [Fact]
    public void Range_looks_at_each_topic_alone() => Check(
        PartitionAssignors.Range, TwoTopics, [Member("a", "t"), Member("b", "t", "u"), Member("c", "missing")],
        "a: t-0 t-1", "b: t-2 u-0 u-1 u-2", "c:");

    [Fact]
    public void Range_puts_static_members_first_by_their_instance() => Check(
        PartitionAssignors.Range, new() { ["t"] = 3 },
        [Member("a", "t"), Member("z", "t") with { GroupInstanceId = "i2" }, Member("y", "t") with { GroupInstanceId = "i3" }],
        "a: t-2", "y: t-1", "z: t-0");

    [Fact]
    public void Round_robin_deals_all_partitions_in_turn() => Check(
        PartitionAssignors.RoundRobin, TwoTopics, [Member("a", "t", "u"), Member("b", "t", "u")],
        "a: t-0 t-2 u-1", "b: t-1 u-0 u-2");

    [Fact]
    public void Round_robin_passes_over_those_who_do_not_subscribe() => Check(
        PartitionAssignors.RoundRobin, TwoTopics, [Member("a", "t"), Member("b", "t", "u"), Member("c", "u")],
        "a: t-0 t-2", "b: t-1 u-0 u-2", "c: u-1");

    [Fact]
    public void Sticky_gives_a_newcomer_its_share_and_moves_no_more() => Check(
        PartitionAssignors.Sticky, new() { ["t"] = 6 },
        [Sticky("a", 1, 0, 1, 2), Sticky("b", 1, 3, 4, 5), Member("c", "t")],
        "a: t-0 t-1", "b: t-3 t-4", "c: t-2 t-5");

    [Fact]
    public void Sticky_believes_the_later_generation_and_neither_of_two_equals() => Check(
        PartitionAssignors.Sticky, new() { ["t"] = 4 },
        [Sticky("a", 1, 0, 1, 2), Sticky("b", 2, 2, 3)],
        "a: t-0 t-1", "b: t-2 t-3");

    [Fact]
    public void Sticky_reads_user_data_without_a_generation()
    {
        byte[] version0 = PartitionAssignors.Sticky.GetUserData(["t"], [new("t", 1)], 0).ToArray()[..^4];
        var a = new MemberSubscription("a", null, new ConsumerSubscription(["t"], version0, []));

        Check(PartitionAssignors.Sticky, new() { ["t"] = 2 }, [a, Member("b", "t")], "a: t-1", "b: t-0");
    }

    [Fact]
    public void Sticky_survives_user_data_of_another_making()
    {
        var a = new MemberSubscription("a", null, new ConsumerSubscription(["t"], new byte[] { 1, 2, 3 }, []));

        Check(PartitionAssignors.Sticky, new() { ["t"] = 2 }, [a, Member("b", "t")], "a: t-0", "b: t-1");
    }

    [Fact]
    public void Cooperative_withholds_what_has_to_be_revoked_first()
    {
        MemberSubscription a = Owner("a", 1, 0, 1, 2, 3);

        Check(PartitionAssignors.CooperativeSticky, new() { ["t"] = 4 }, [a, Member("b", "t")], "a: t-0 t-1", "b:");
        Check(
            PartitionAssignors.CooperativeSticky, new() { ["t"] = 4 }, [Owner("a", 2, 0, 1), Member("b", "t")], "a: t-0 t-1", "b: t-2 t-3");
    }

    [Fact]
    public void Cooperative_gives_to_nobody_what_two_claim() => Check(
        PartitionAssignors.CooperativeSticky, new() { ["t"] = 2 }, [Owner("a", 1, 0), Owner("b", 1, 0, 1)], "a:", "b: t-1");

    /// <summary>
    /// Random groups: each partition once, only to subscribers, balanced, and no needless moves. 
    /// </summary>
    [Fact]
    public void Any_group_is_divided_completely_evenly_and_with_few_moves()
    {
        Seeds.Run(fresh: 200, seed =>
        {
            var random = new Random(seed);
            Dictionary<string, int> topics = Enumerable.Range(0, random.Next(1, 5)).ToDictionary(i => $"t{i}", _ => random.Next(0, 13));
            bool alike = random.Next(2) == 0;
            List<MemberSubscription> members =
                [.. Enumerable.Range(0, random.Next(1, 8)).Select(i => RandomMember($"m{i}", topics, alike ? null : random))];
            foreach (string name in new[] { "range", "roundrobin", "sticky", "cooperative-sticky" })
            {
                IPartitionAssignor assignor = PartitionAssignors.Find(name)!;
                IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> result = assignor.Assign(topics, members);
                CheckComplete(topics, members, result, $"{name}, seed {seed}");
                CheckBalanced(name, alike, topics, members, result, $"{name}, seed {seed}");
            }

            CheckStickiness(topics, members, seed);
            CheckHandOver(topics, members, random, seed);
        });
    }

    private static void CheckComplete(
        Dictionary<string, int> topics, List<MemberSubscription> members, IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> result,
        string which)
    {
        TopicPartition[] expected =
        [
            .. topics.Where(topic => members.Any(member => member.Subscription.Topics.Contains(topic.Key)))
                .SelectMany(topic => Enumerable.Range(0, topic.Value).Select(partition => new TopicPartition(topic.Key, partition))),
        ];
        TopicPartition[] given = [.. result.SelectMany(entry => entry.Value)];
        Assert.True(
            given.Length == expected.Length && expected.ToHashSet().SetEquals(given), $"{which}: not every partition was given once");
        Assert.True(
            members.All(member => result[member.MemberId].All(partition => member.Subscription.Topics.Contains(partition.Topic))),
            $"{which}: a member got a topic that it is not subscribed to");
    }

    private static void CheckBalanced(
        string name, bool alike, Dictionary<string, int> topics, List<MemberSubscription> members,
        IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> result, string which)
    {
        if (name == "range" || (name == "roundrobin" && !alike))
            return;

        foreach (MemberSubscription more in members)
        {
            foreach (MemberSubscription less in members)
            {
                bool canMove = result[more.MemberId].Any(partition => less.Subscription.Topics.Contains(partition.Topic));
                Assert.True(
                    !canMove || result[more.MemberId].Count <= result[less.MemberId].Count + 1,
                    $"{which}: {more.MemberId} has {result[more.MemberId].Count}, {less.MemberId} has {result[less.MemberId].Count}");
            }
        }

        Assert.NotEmpty(topics);
    }

    private static void CheckStickiness(Dictionary<string, int> topics, List<MemberSubscription> members, int seed)
    {
        IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> first = PartitionAssignors.Sticky.Assign(topics, members);
        List<MemberSubscription> again = [.. members.Select(member => WithUserData(member, first[member.MemberId], 1))];
        IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> second = PartitionAssignors.Sticky.Assign(topics, again);
        Assert.All(
            members, member =>
                Assert.True(first[member.MemberId].SequenceEqual(second[member.MemberId]), $"seed {seed}: moved without need"));

        List<MemberSubscription> fewer = [.. again.SkipLast(1)];
        if (fewer.Count > 0 && fewer.All(member => member.Subscription.Topics.SequenceEqual(fewer[0].Subscription.Topics)))
        {
            IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> third = PartitionAssignors.Sticky.Assign(topics, fewer);
            int total = third.Values.Sum(partitions => partitions.Count);
            int most = (total + fewer.Count - 1) / fewer.Count;
            Assert.All(fewer, member => Assert.True(
                third[member.MemberId].Intersect(second[member.MemberId]).Count() >= Math.Min(
                    second[member.MemberId].Count, total / fewer.Count)
                && third[member.MemberId].Count <= most,
                $"seed {seed}: {member.MemberId} lost something to a departure"));
        }
    }

    /// <summary>Members come and go at random; nobody ever gets what another still has, and a few rounds later all is given.</summary>
    private static void CheckHandOver(Dictionary<string, int> topics, List<MemberSubscription> members, Random random, int seed)
    {
        var owned = new Dictionary<string, IReadOnlyList<TopicPartition>>();
        for (int round = 1; round <= 12; round++)
        {
            List<MemberSubscription> present = round > 8 ? members : [.. members.Where(_ => random.Next(3) > 0)];
            foreach (string gone in owned.Keys.Except(present.Select(member => member.MemberId)).ToArray())
                owned.Remove(gone);

            List<MemberSubscription> joining = [.. present.Select(member => member with
            {
                Subscription = member.Subscription with { Owned = owned.GetValueOrDefault(member.MemberId, []), Generation = round - 1 },
            })];
            IReadOnlyDictionary<string, IReadOnlyList<TopicPartition>> result = PartitionAssignors.CooperativeSticky.Assign(
                topics, joining);
            foreach (MemberSubscription member in joining)
            {
                Assert.True(
                    result[member.MemberId].All(
                        partition => joining.All(other => other == member || !other.Subscription.Owned.Contains(partition))),
                    $"seed {seed}, round {round}: {member.MemberId} got what another had not revoked");
                owned[member.MemberId] = result[member.MemberId];
            }
        }

        CheckComplete(topics, members, owned, $"cooperative-sticky over rounds, seed {seed}");
    }

    private static MemberSubscription RandomMember(string id, Dictionary<string, int> topics, Random? random) =>
        Member(id, [.. topics.Keys.Where(_ => random is null || random.Next(3) > 0)]);

    private static MemberSubscription Member(string id, params string[] topics) =>
        new(id, null, new ConsumerSubscription(topics, default, []));

    private static MemberSubscription Sticky(string id, int generation, params int[] owned) =>
        WithUserData(Member(id, "t"), [.. owned.Select(partition => new TopicPartition("t", partition))], generation);

    private static MemberSubscription Owner(string id, int generation, params int[] owned) =>
        new(
            id, null, new ConsumerSubscription(
                ["t"], default, [.. owned.Select(partition => new TopicPartition("t", partition))], generation));

    private static MemberSubscription WithUserData(MemberSubscription member, IReadOnlyList<TopicPartition> owned, int generation) =>
        member with
    {
        Subscription =
            member.Subscription with { UserData = PartitionAssignors.Sticky.GetUserData(member.Subscription.Topics.ToArray(), owned,
                generation) },
    };

    private static void Check(
        IPartitionAssignor assignor, Dictionary<string, int> topics, MemberSubscription[] members, params string[] expected)
    {
        string[] Show(IEnumerable<MemberSubscription> order) =>
            [.. assignor.Assign(topics, [.. order]).OrderBy(entry => entry.Key).Select(
                entry => $"{entry.Key}: {string.Join(' ', entry.Value)}".TrimEnd())];

        Assert.Equal(expected, Show(members));
        Assert.Equal(expected, Show(members.Reverse()));
    }
}
