using System.Collections.Concurrent;
using System.Threading.Channels;
using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Arus.Client.Tests.Groups;

/// <summary>
/// The member's side against the real state machine of the coordinator. Tests wait for what handlers are told, never for a time.
/// </summary>
public sealed class GroupMembershipTests : IAsyncLifetime
{
    private readonly InMemoryGroup _group = new();
    private readonly SiloLosses _losses = new(TimeProvider.System);
    private readonly ConcurrentDictionary<TopicPartition, string> _owners = new();
    private readonly List<TestMember> _members = [];

    [Fact]
    public async Task A_member_alone_gets_everything_and_gives_it_back_when_it_leaves()
    {
        TestMember a = Start("a", PartitionAssignors.Range);

        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.Equal(1, a.Membership.Identity.GenerationId);
        await a.Membership.LeaveAsync("test");

        Assert.Equal("revoked t-0 t-1 t-2 t-3", await a.NextAsync());
        await a.Membership.Completion;
        Assert.Empty(a.Membership.Assignment);
        Assert.Equal("a-1", Assert.Single(_group.Leavers));
    }

    [Theory]
    [InlineData(nameof(IGroupGrain.JoinAsync))]
    [InlineData(nameof(IGroupGrain.SyncAsync))]
    [InlineData(nameof(IGroupGrain.HeartbeatAsync))]
    public async Task A_call_that_is_lost_with_a_silo_is_made_again(string method)
    {
        var lost = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var again = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        IGroupGrain coordinator = Fake.Of<IGroupGrain>((called, arguments) =>
        {
            if (called.Name == method && lost.TrySetResult())
                return Unanswered(called.ReturnType);

            if (called.Name == method)
                again.TrySetResult();

            return called.Invoke(_group, arguments)!;
        });
        TestMember a = Start("a", PartitionAssignors.Range, coordinator: coordinator);
        await lost.Task.WaitAsync(TestTimeout.Value);
        _losses.Report();
        await again.Task.WaitAsync(TestTimeout.Value);
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
    }

    private static object Unanswered(Type task) =>
        typeof(TaskCompletionSource<>).MakeGenericType(task.GetGenericArguments()[0]) is var source
            ? source.GetProperty("Task")!.GetValue(Activator.CreateInstance(source))!
            : throw new InvalidOperationException();

    [Fact]
    public async Task Under_the_eager_protocol_everything_is_revoked_before_it_is_divided_anew()
    {
        TestMember a = Start("a", PartitionAssignors.Range);
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
        TestMember b = Start("b", PartitionAssignors.Range);

        Assert.Equal("revoked t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.Equal("assigned t-0 t-1", await a.NextAsync());
        Assert.Equal("assigned t-2 t-3", await b.NextAsync());

        await b.Membership.LeaveAsync("test");
        Assert.Equal("revoked t-0 t-1", await a.NextAsync());
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
    }

    [Fact]
    public async Task Under_the_cooperative_protocol_only_what_moves_is_revoked()
    {
        TestMember a = Start("a", PartitionAssignors.CooperativeSticky);
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
        TestMember b = Start("b", PartitionAssignors.CooperativeSticky);

        // The second rebalance may begin before b has synced in the first, and then b sees but the second.
        Assert.Equal("revoked t-2 t-3", await a.NextAsync());
        Assert.Equal("assigned t-2 t-3", await b.NextChangeAsync());

        await b.Membership.LeaveAsync("test");
        Assert.Equal("assigned t-2 t-3", await a.NextChangeAsync());
    }

    [Fact]
    public async Task By_default_members_are_eager_and_ready_for_the_change()
    {
        TestMember a = Start("a");
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
        TestMember b = Start("b", PartitionAssignors.CooperativeSticky);

        // The vote leaves only what both have; a is eager all the same.
        Assert.Equal("revoked t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.StartsWith("assigned", await a.NextAsync());
        Assert.StartsWith("assigned", await b.NextAsync());
        DescribeGroupsResponse described = await _group.DescribeAsync(new DescribeGroupsRequest { Groups = ["g"] });
        Assert.Equal("cooperative-sticky", described.Groups[0].ProtocolData);
    }

    [Fact]
    public async Task A_coordinator_that_restarts_keeps_its_members()
    {
        TestMember a = Start("a", PartitionAssignors.Range);
        await a.NextAsync();
        _group.Restart();
        await a.HeartbeatAsync(_group);
        TestMember b = Start("b", PartitionAssignors.Range);

        Assert.Equal("revoked t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.Equal("assigned t-0 t-1", await a.NextAsync());
        Assert.Equal("assigned t-2 t-3", await b.NextAsync());
        Assert.Equal("a-1", a.Membership.Identity.MemberId);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_member_that_was_forgotten_has_lost_its_partitions_and_joins_again(bool toldByCommit)
    {
        TestMember a = Start("a", PartitionAssignors.CooperativeSticky, heartbeatMs: toldByCommit ? 30_000 : 20);
        await a.NextAsync();
        _group.Restart(forget: true);
        if (toldByCommit)
            a.Membership.ReportCommitError(ErrorCode.UnknownMemberId);

        Assert.Equal("lost t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.NotEqual("a-1", a.Membership.Identity.MemberId);
    }

    [Fact]
    public async Task Calls_that_fail_on_the_way_are_repeated()
    {
        var failed = new ConcurrentDictionary<Type, int>();
        _group.BeforeCall = call =>
        {
            if (failed.AddOrUpdate(call.GetType(), 1, (_, count) => count + 1) <= 2)
                throw new TimeoutException($"{call}");
        };
        TestMember a = Start("a", PartitionAssignors.Range);

        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
    }

    [Fact]
    public async Task A_member_whose_application_does_not_poll_leaves_until_it_does()
    {
        TestMember a = Start("a", PartitionAssignors.Range, maxPollMs: 200);
        Assert.StartsWith("assigned", await a.NextAsync());
        Assert.Equal("lost t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.Contains("a-1", _group.Leavers);

        a.Membership.RecordPoll();
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
    }

    [Fact]
    public async Task A_static_member_that_restarts_disturbs_nobody_and_its_past_is_fenced()
    {
        TestMember a = Start("a", PartitionAssignors.Range);
        await a.NextAsync();
        TestMember old = Start("old", PartitionAssignors.Range, instanceId: "i");
        Assert.Equal("revoked t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.StartsWith("assigned", await a.NextAsync());
        Assert.Equal("assigned t-0 t-1", await old.NextAsync());

        int generation = _group.Generation;
        _owners.Clear();
        TestMember young = Start("young", PartitionAssignors.Range, instanceId: "i");
        Assert.Equal("assigned t-0 t-1", await young.NextAsync());
        Assert.Equal(generation, young.Membership.Identity.GenerationId);

        ArusException fenced = await Assert.ThrowsAsync<ArusException>(() => old.Membership.Completion);
        Assert.Equal(ErrorCode.FencedInstanceId, fenced.Code);
        Assert.Equal("lost t-0 t-1", await old.NextAsync());
    }

    [Fact]
    public async Task A_subscription_that_changes_brings_the_new_topic()
    {
        TestMember a = Start("a", PartitionAssignors.CooperativeSticky);
        await a.NextAsync();
        a.Membership.Subscribe(["u"]);

        Assert.Equal("revoked t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.Equal("assigned u-0", await a.NextAsync());
    }

    [Theory]
    [InlineData("range")]
    [InlineData("roundrobin")]
    [InlineData("sticky")]
    [InlineData("cooperative-sticky")]
    public async Task A_member_without_topics_gives_its_partitions_to_the_others_and_keeps_its_place(string assignor)
    {
        TestMember a = Start("a", PartitionAssignors.Find(assignor));
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await a.NextAsync());
        a.Membership.Subscribe([]);

        Assert.Equal("revoked t-0 t-1 t-2 t-3", await a.NextAsync());
        Assert.Equal("assigned", await a.NextAsync());
        TestMember b = Start("b", PartitionAssignors.Find(assignor));
        Assert.Equal("assigned t-0 t-1 t-2 t-3", await b.NextChangeAsync());
        Assert.Equal("a-1", a.Membership.Identity.MemberId);
        Assert.Empty(_group.Leavers);
    }

    [Fact]
    public async Task What_the_handler_throws_ends_the_membership_and_leaves_the_group()
    {
        TestMember a = Start("a", PartitionAssignors.Range, failOnAssigned: true);

        Assert.Equal("a: assigned", (await Assert.ThrowsAsync<InvalidOperationException>(() => a.Membership.Completion)).Message);
        Assert.Equal(GroupState.Empty, _group.State);
    }

    [Fact]
    public async Task What_no_repetition_cures_ends_the_membership()
    {
        TestMember a = Start("a", PartitionAssignors.Range);
        await a.NextAsync();
        TestMember b = Start("b", PartitionAssignors.Sticky);

        ArusException refused = await Assert.ThrowsAsync<ArusException>(() => b.Membership.Completion);
        Assert.Equal(ErrorCode.InconsistentGroupProtocol, refused.Code);
        Assert.Contains("'g'", refused.Message);
    }

    [Fact]
    public void Options_that_cannot_work_are_refused_by_their_keys()
    {
        ConsumerOptions good = Options("a");
        good.Validate();
        AssertRefused("heartbeat.interval.ms", good with { HeartbeatInterval = TimeSpan.Zero });
        AssertRefused("heartbeat.interval.ms", good with { HeartbeatInterval = good.SessionTimeout });
        AssertRefused("max.poll.interval.ms", good with { MaxPollInterval = TimeSpan.Zero });
        AssertRefused("retry.backoff.max.ms", good with { RetryBackoff = good.RetryBackoffMax + TimeSpan.FromMilliseconds(1) });
        AssertRefused("partition.assignment.strategy", good with { PartitionAssignmentStrategy = [] });
        AssertRefused(
            "partition.assignment.strategy",
            good with { PartitionAssignmentStrategy = [PartitionAssignors.Range, PartitionAssignors.Range] });

        static void AssertRefused(string key, ConsumerOptions options) =>
            Assert.Contains(key, Assert.Throws<ArgumentException>(options.Validate).Message);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        _group.BeforeCall = _ => { };
        foreach (TestMember member in _members)
            await member.Membership.DisposeAsync();

        _group.Dispose();
    }

    private static ConsumerOptions Options(string name) => new()
    {
        GroupId = "g", ClientId = name, SessionTimeout = TimeSpan.FromMinutes(1), RetryBackoff = TimeSpan.FromMilliseconds(1),
        RetryBackoffMax = TimeSpan.FromMilliseconds(10),
    };

    private TestMember Start(
        string name, IPartitionAssignor? assignor = null, string? instanceId = null, int heartbeatMs = 20, int maxPollMs = 300_000,
        bool failOnAssigned = false, IGroupGrain? coordinator = null)
    {
        var member = new TestMember(name, _owners, failOnAssigned);
        ConsumerOptions options = Options(name) with
        {
            GroupInstanceId = instanceId, HeartbeatInterval = TimeSpan.FromMilliseconds(heartbeatMs),
            MaxPollInterval = TimeSpan.FromMilliseconds(maxPollMs), PartitionAssignmentStrategy = assignor is null ? null : [assignor],
        };
        PartitionCountSource counts = (_, _) => new(new Dictionary<string, int> { ["t"] = 4, ["u"] = 1 });
        member.Membership = new GroupMembership(
            coordinator ?? _group, options, member, counts, _losses, TimeProvider.System, NullLogger.Instance);
        _members.Add(member);
        member.Membership.Subscribe(["t"]);
        return member;
    }

    /// <summary>Checks that nobody is given what another has not let go.</summary>
    private sealed class TestMember(string name, ConcurrentDictionary<TopicPartition, string> owners, bool failOnAssigned)
        : IConsumerRebalanceListener
    {
        private readonly Channel<string> _events = Channel.CreateUnbounded<string>();

        public GroupMembership Membership { get; set; } = null!;

        public Task<string> NextAsync() => _events.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30));

        /// <summary>Passes over rebalances that brought nothing.</summary>
        public async Task<string> NextChangeAsync()
        {
            while (true)
            {
                string next = await NextAsync();
                if (next != "assigned")
                    return next;
            }
        }

        /// <summary>Waits for a sign of life that comes after now.</summary>
        public static Task HeartbeatAsync(TestMember member, InMemoryGroup group)
        {
            var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            group.BeforeCall = call =>
            {
                if (call is HeartbeatRequest)
                    seen.TrySetResult();
            };
            member.Membership.ReportCommitError(ErrorCode.RebalanceInProgress);
            return seen.Task;
        }

        public Task HeartbeatAsync(InMemoryGroup group) => HeartbeatAsync(this, group);

        public ValueTask OnPartitionsAssignedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken)
        {
            foreach (TopicPartition partition in partitions)
                Assert.True(owners.TryAdd(partition, name), $"{name} got {partition}, which {owners.GetValueOrDefault(partition)} has");

            return failOnAssigned ? throw new InvalidOperationException($"{name}: assigned") : Note("assigned", partitions);
        }

        public ValueTask OnPartitionsRevokedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken) =>
            LetGo("revoked", partitions);

        public ValueTask OnPartitionsLostAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken) =>
            LetGo("lost", partitions);

        private ValueTask LetGo(string what, IReadOnlyList<TopicPartition> partitions)
        {
            foreach (TopicPartition partition in partitions)
                owners.TryRemove(new KeyValuePair<TopicPartition, string>(partition, name));

            return Note(what, partitions);
        }

        private ValueTask Note(string what, IReadOnlyList<TopicPartition> partitions) =>
            _events.Writer.WriteAsync($"{what} {string.Join(' ', partitions.OrderBy(p => p.Topic).ThenBy(p => p.Partition))}".TrimEnd());
    }
}
