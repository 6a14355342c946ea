using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>The APIs of groups.</summary>
public sealed class GroupHandlerTests
{
    [Fact]
    public async Task FindCoordinator_names_the_broker_of_the_group()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.Group("mine").BrokerId = 2;
        kafka.Cluster.Group("lost").BrokerId = 7;
        TestConnection connection = kafka.Connect();
        FindCoordinatorResponse one = await connection.CallAsync<FindCoordinatorResponse>(new FindCoordinatorRequest { Key = "mine" }, 0);
        Assert.Equal((2, "two.example", 9092), (one.NodeId, one.Host, one.Port));
        FindCoordinatorResponse several = await connection.CallAsync<FindCoordinatorResponse>(
            new FindCoordinatorRequest { CoordinatorKeys = ["mine", "lost", ""] }, 4);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.CoordinatorNotAvailable, ErrorCode.InvalidGroupId],
            several.Coordinators.Select(found => found.ErrorCode));
        FindCoordinatorResponse transaction = await connection.CallAsync<FindCoordinatorResponse>(
            new FindCoordinatorRequest { Key = "tx-1", KeyType = 1 }, 2);
        Assert.Contains("tx-1", transaction.ErrorMessage, StringComparison.Ordinal);
    }

    [Fact]
    public async Task JoinGroup_repeats_the_call_with_its_member_id_while_the_rebalance_lasts()
    {
        await using var kafka = new KafkaHarness();
        InMemoryGroup group = kafka.Cluster.Group("g");
        JoinGroupResponse leader = await group.JoinAndSyncAsync("leader");
        var request = new JoinGroupRequest
        {
            GroupId = "g", ProtocolType = "consumer", SessionTimeoutMs = 10_000, RebalanceTimeoutMs = 60_000,
            Protocols = [new() { Name = "range", Metadata = new byte[] { 9 } }],
        };
        Task<JoinGroupResponse> joining = kafka.Connect().CallAsync<JoinGroupResponse>(request, 3);
        await group.WhenAsync(g => g.WaitingCalls == 1);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(IGroupGrain.MaxWaitMs));
        await group.WhenAsync(g => g.Joins.Length == 3 && g.WaitingCalls == 1);
        JoinGroupResponse led = await group.JoinAsync("leader", leader.MemberId);
        Assert.Equal(new byte[] { 9 }, led.Members[1].Metadata);

        JoinGroupResponse response = await joining;
        Assert.Equal((2, "test-client-2", "range"), (response.GenerationId, response.MemberId, response.ProtocolName));
        Assert.Equal(["", "test-client-2"], group.Joins[1..3].Select(call => call.MemberId));
        Assert.Equal(new Caller("test-client", "/127.0.0.1", 3), group.Joins[1].Caller);
    }

    [Fact]
    public async Task Offsets_are_committed_and_fetched_in_every_shape()
    {
        await using var kafka = new KafkaHarness();
        Guid id = kafka.Cluster.AddTopic("topic", 2).Id;
        TestConnection connection = kafka.Connect();
        var commit = new OffsetCommitRequest
        {
            GroupId = "g",
            Topics =
            [
                new()
                {
                    Name = "topic",
                    Partitions =
                    [
                        new() { PartitionIndex = 0, CommittedOffset = 42, CommittedMetadata = null }, new() { PartitionIndex = 5 },
                    ],
                },
                new() { Name = "missing", Partitions = [new() { PartitionIndex = 0, CommittedOffset = 1 }] },
            ],
        };
        OffsetCommitResponse committed = await connection.CallAsync<OffsetCommitResponse>(commit, 2);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.UnknownTopicOrPartition, ErrorCode.UnknownTopicOrPartition],
            committed.Topics.SelectMany(topic => topic.Partitions.Select(partition => partition.ErrorCode)));

        OffsetFetchResponse one = await connection.CallAsync<OffsetFetchResponse>(
            new OffsetFetchRequest { GroupId = "g", Topics = [new() { Name = "topic", PartitionIndexes = [0, 1] }] }, 1);
        Assert.Equal([(42L, ""), (-1L, "")], one.Topics[0].Partitions.Select(partition => (partition.CommittedOffset, partition.Metadata)));
        OffsetFetchResponse all = await connection.CallAsync<OffsetFetchResponse>(
            new OffsetFetchRequest { GroupId = "g", Topics = null }, 5);
        Assert.Equal(42, all.Topics.Single().Partitions.Single().CommittedOffset);
        OffsetFetchResponse unknown = await connection.CallAsync<OffsetFetchResponse>(
            new OffsetFetchRequest { GroupId = "nobody", Topics = [new() { Name = "topic", PartitionIndexes = [0] }] }, 5);
        OffsetFetchResponse.OffsetFetchResponsePartition none = unknown.Topics[0].Partitions[0];
        Assert.Equal((ErrorCode.None, -1L, ""), (unknown.ErrorCode, none.CommittedOffset, none.Metadata));
        OffsetFetchResponse byId = await connection.CallAsync<OffsetFetchResponse>(
            new OffsetFetchRequest
            {
                Groups =
                [
                    new() { GroupId = "g", Topics = [new() { TopicId = id, PartitionIndexes = [0] }] },
                    new() { GroupId = "g", Topics = null },
                ],
            },
            10);
        Assert.All(
            byId.Groups,
            group => Assert.Equal((id, 42L), (group.Topics.Single().TopicId, group.Topics[0].Partitions[0].CommittedOffset)));
    }

    [Fact]
    public async Task A_group_that_does_not_exist_is_dead_and_since_version_6_an_error()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        var request = new DescribeGroupsRequest { Groups = ["nobody"] };
        DescribeGroupsResponse old = await connection.CallAsync<DescribeGroupsResponse>(request, 5);
        Assert.Equal((ErrorCode.None, "Dead"), (old.Groups[0].ErrorCode, old.Groups[0].GroupState));
        DescribeGroupsResponse current = await connection.CallAsync<DescribeGroupsResponse>(request, 6);
        Assert.Equal(ErrorCode.GroupIdNotFound, current.Groups[0].ErrorCode);
        Assert.Contains("nobody", current.Groups[0].ErrorMessage, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ListGroups_filters_by_state_and_type()
    {
        await using var kafka = new KafkaHarness();
        await kafka.Cluster.Group("a").JoinAndSyncAsync("a");
        await kafka.Cluster.Group("b").CommitAsync(new("topic", 0), 1);
        Assert.Equal(GroupState.Dead, kafka.Cluster.Group("dead").State);
        TestConnection connection = kafka.Connect();
        Assert.Equal(["a", "b"], await List(new ListGroupsRequest()));
        Assert.Equal(["a"], await List(new ListGroupsRequest { StatesFilter = ["stable"] }));
        Assert.Equal(["a", "b"], await List(new ListGroupsRequest { TypesFilter = ["Classic"] }));
        Assert.Empty(await List(new ListGroupsRequest { TypesFilter = ["share"] }));

        async Task<IEnumerable<string>> List(ListGroupsRequest request) =>
            (await connection.CallAsync<ListGroupsResponse>(request, 5)).Groups.Select(group => group.GroupId);
    }

    [Fact]
    public async Task A_group_whose_state_cannot_be_had_hides_no_others()
    {
        await using var kafka = new KafkaHarness();
        await kafka.Cluster.Group("a").JoinAndSyncAsync("a");
        kafka.Cluster.Group("b").Failure = new ArusException(ErrorCode.NotCoordinator, "It moves.");
        ListGroupsResponse response = await kafka.Connect().CallAsync<ListGroupsResponse>(new ListGroupsRequest(), 5);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        Assert.Equal([("a", "Stable"), ("b", "Unknown")], response.Groups.Select(group => (group.GroupId, group.GroupState)));
    }

    [Fact]
    public async Task A_group_call_that_fails_says_that_the_coordinator_is_not_available()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.Group("g").Failure = new TimeoutException();
        TestConnection connection = kafka.Connect();
        Assert.Equal(
            ErrorCode.CoordinatorNotAvailable,
            (await connection.CallAsync<HeartbeatResponse>(new HeartbeatRequest { GroupId = "g", MemberId = "m" }, 3)).ErrorCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \t")]
    public async Task A_blank_group_id_is_refused(string blank)
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        ErrorCode[] errors =
        [
            (await connection.CallAsync<HeartbeatResponse>(new HeartbeatRequest { GroupId = blank, MemberId = "m" }, 3)).ErrorCode,
            (await connection.CallAsync<JoinGroupResponse>(new JoinGroupRequest { GroupId = blank, MemberId = "m" }, 5)).ErrorCode,
            (await connection.CallAsync<SyncGroupResponse>(new SyncGroupRequest { GroupId = blank, MemberId = "m" }, 3)).ErrorCode,
            (await connection.CallAsync<LeaveGroupResponse>(new LeaveGroupRequest { GroupId = blank, MemberId = "m" }, 2)).ErrorCode,
            (await connection.CallAsync<FindCoordinatorResponse>(new FindCoordinatorRequest { Key = blank }, 2)).ErrorCode,
            (await connection.CallAsync<OffsetDeleteResponse>(new OffsetDeleteRequest { GroupId = blank }, 0)).ErrorCode,
            (await connection.CallAsync<DescribeGroupsResponse>(new DescribeGroupsRequest { Groups = [blank] }, 3)).Groups[0].ErrorCode,
            (await connection.CallAsync<DeleteGroupsResponse>(new DeleteGroupsRequest { GroupsNames = [blank] }, 1)).Results[0].ErrorCode,
        ];
        Assert.All(errors, error => Assert.Equal(ErrorCode.InvalidGroupId, error));
    }

    [Fact]
    public async Task LeaveGroup_answers_each_member_since_version_3()
    {
        await using var kafka = new KafkaHarness();
        JoinGroupResponse here = await kafka.Cluster.Group("g").JoinAndSyncAsync("here");
        TestConnection connection = kafka.Connect();
        LeaveGroupResponse old = await connection.CallAsync<LeaveGroupResponse>(
            new LeaveGroupRequest { GroupId = "g", MemberId = "gone" }, 1);
        Assert.Equal(ErrorCode.UnknownMemberId, old.ErrorCode);
        LeaveGroupResponse current = await connection.CallAsync<LeaveGroupResponse>(
            new LeaveGroupRequest { GroupId = "g", Members = [new() { MemberId = here.MemberId }, new() { MemberId = "gone" }] }, 4);
        Assert.Equal(
            (ErrorCode.None, ErrorCode.None, ErrorCode.UnknownMemberId),
            (current.ErrorCode, current.Members[0].ErrorCode, current.Members[1].ErrorCode));
        Assert.Equal(GroupState.Empty, kafka.Cluster.Group("g").State);
    }
}
