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
            [ErrorCode.None, ErrorCode.CoordinatorNotAvailable, ErrorCode.None],
            several.Coordinators.Select(found => found.ErrorCode));
        FindCoordinatorResponse share = await connection.CallAsync<FindCoordinatorResponse>(
            new FindCoordinatorRequest { Key = "tx-1", KeyType = 2 }, 2);
        Assert.Equal(ErrorCode.InvalidRequest, share.ErrorCode);
        Assert.Equal("", several.Coordinators[0].ErrorMessage);
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

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public async Task Offsets_of_a_transaction_are_unstable_until_it_ends(short version)
    {
        await using var kafka = new KafkaHarness();
        InMemoryGroup group = kafka.Cluster.Group("g");
        Guid id = kafka.Cluster.AddTopic("topic", 1).Id;
        TestConnection connection = kafka.Connect();
        TxnOffsetCommitRequest commit = TxnCommit(version, id);
        TxnOffsetCommitResponse response = await connection.CallAsync<TxnOffsetCommitResponse>(commit, version);
        Assert.Equal([ErrorCode.None, ErrorCode.UnknownTopicOrPartition], response.Topics[0].Partitions.Select(p => p.ErrorCode));
        Assert.Equal(
            version < 6 ? ErrorCode.UnknownTopicOrPartition : ErrorCode.UnknownTopicId, response.Topics[1].Partitions[0].ErrorCode);
        Assert.Equal([new CommittingTransaction("tx", 9, 2, AddsGroup: version >= 5)], group.TransactionalCommits);

        Assert.Equal((ErrorCode.UnstableOffsetCommit, -1L), await FetchAsync(requireStable: true));
        Assert.Equal((ErrorCode.None, -1L), await FetchAsync(requireStable: false));
        Assert.Equal(ErrorCode.None, await group.WriteMarkerAsync(new TransactionMarker(9, 2, 1, IsCommit: true, TransactionVersion: 1)));
        Assert.Equal((ErrorCode.None, 42L), await FetchAsync(requireStable: true));

        async Task<(ErrorCode, long)> FetchAsync(bool requireStable)
        {
            var request = new OffsetFetchRequest { GroupId = "g", Topics = [new() { Name = "topic", PartitionIndexes = [0] }] };
            request.RequireStable = requireStable;
            OffsetFetchResponse old = await connection.CallAsync<OffsetFetchResponse>(request, 7);
            request.Groups = [new() { GroupId = "g", Topics = [new() { TopicId = id, PartitionIndexes = [0] }] }];
            OffsetFetchResponse.OffsetFetchResponsePartitions byId =
                (await connection.CallAsync<OffsetFetchResponse>(request, 10)).Groups[0].Topics[0].Partitions[0];
            OffsetFetchResponse.OffsetFetchResponsePartition byName = old.Topics[0].Partitions[0];
            Assert.Equal((byId.ErrorCode, byId.CommittedOffset), (byName.ErrorCode, byName.CommittedOffset));
            return (byId.ErrorCode, byId.CommittedOffset);
        }
    }

    [Theory]
    [InlineData(ErrorCode.TransactionAbortable, 3, ErrorCode.InvalidTxnState)]
    [InlineData(ErrorCode.TransactionAbortable, 4, ErrorCode.TransactionAbortable)]
    [InlineData(ErrorCode.CoordinatorLoadInProgress, 1, ErrorCode.CoordinatorNotAvailable)]
    [InlineData(ErrorCode.CoordinatorLoadInProgress, 2, ErrorCode.CoordinatorLoadInProgress)]
    [InlineData(ErrorCode.InvalidProducerIdMapping, 0, ErrorCode.InvalidProducerIdMapping)]
    [InlineData(ErrorCode.GroupIdNotFound, 5, ErrorCode.IllegalGeneration)]
    [InlineData(ErrorCode.GroupIdNotFound, 6, ErrorCode.GroupIdNotFound)]
    public async Task A_commit_in_a_transaction_fails_as_its_version_can_say(ErrorCode error, short version, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness();
        Guid id = kafka.Cluster.AddTopic("topic", 1).Id;
        kafka.Cluster.Group("g").Participation = new GroupParticipation(error, 1);
        TxnOffsetCommitResponse response =
            await kafka.Connect().CallAsync<TxnOffsetCommitResponse>(TxnCommit(version, id), version);
        Assert.Equal(expected, response.Topics[0].Partitions[0].ErrorCode);
    }

    [Theory]
    [InlineData("", "tx", ErrorCode.InvalidGroupId)]
    [InlineData("g", "", ErrorCode.InvalidRequest)]
    public async Task A_commit_in_a_transaction_names_group_and_transaction(string groupId, string transactionalId, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness();
        TxnOffsetCommitRequest commit = TxnCommit(4, kafka.Cluster.AddTopic("topic", 1).Id);
        (commit.GroupId, commit.TransactionalId) = (groupId, transactionalId);
        TxnOffsetCommitResponse response = await kafka.Connect().CallAsync<TxnOffsetCommitResponse>(commit, 4);
        Assert.Equal(expected, response.Topics[0].Partitions[0].ErrorCode);
    }

    private static TxnOffsetCommitRequest TxnCommit(short version, Guid topicId) => new()
    {
        GroupId = "g",
        TransactionalId = "tx",
        ProducerId = 9,
        ProducerEpoch = 2,
        Topics =
        [
            new()
            {
                Name = version < 6 ? "topic" : "",
                TopicId = topicId,
                Partitions = [new() { CommittedOffset = 42, CommittedMetadata = null }, new() { PartitionIndex = 5 }],
            },
            new()
            {
                Name = version < 6 ? "missing" : "", TopicId = Guid.Parse("00000000-0000-0000-0000-0000000000ff"),
                Partitions = [new() { CommittedOffset = 1 }],
            },
        ],
    };

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
    [InlineData(7)]
    [InlineData(9)]
    public async Task Committed_offsets_that_cannot_be_had_yet_are_asked_for_again_at_the_same_broker(short version)
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        foreach (Exception failure in new Exception[] { new TimeoutException(), new ArusException(ErrorCode.NotCoordinator, "It moves.") })
        {
            kafka.Cluster.Group("g").Failure = failure;
            OffsetFetchResponse response = await connection.CallAsync<OffsetFetchResponse>(
                new OffsetFetchRequest { GroupId = "g", Groups = [new() { GroupId = "g" }] }, version);
            Assert.Equal(
                ErrorCode.CoordinatorLoadInProgress, version < 8 ? response.ErrorCode : Assert.Single(response.Groups).ErrorCode);
        }
    }

    [Theory]
    [InlineData("", ErrorCode.InvalidGroupId)]
    [InlineData(" \t", ErrorCode.UnknownMemberId)]
    public async Task A_group_with_members_has_an_id_which_may_be_blank(string blank, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        var join = new JoinGroupRequest
        {
            GroupId = blank, MemberId = "m", SessionTimeoutMs = 10_000, ProtocolType = "consumer", Protocols = [new() { Name = "range" }],
        };
        ErrorCode[] errors =
        [
            (await connection.CallAsync<HeartbeatResponse>(new HeartbeatRequest { GroupId = blank, MemberId = "m" }, 3)).ErrorCode,
            (await connection.CallAsync<JoinGroupResponse>(join, 5)).ErrorCode,
            (await connection.CallAsync<SyncGroupResponse>(new SyncGroupRequest { GroupId = blank, MemberId = "m" }, 3)).ErrorCode,
            (await connection.CallAsync<LeaveGroupResponse>(new LeaveGroupRequest { GroupId = blank, MemberId = "m" }, 2)).ErrorCode,
        ];
        Assert.All(errors, error => Assert.Equal(expected, error));
    }

    [Theory]
    [InlineData("")]
    [InlineData(" \t")]
    public async Task Offsets_are_committed_under_a_blank_group_id(string blank)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        var commit = new OffsetCommitRequest
        {
            GroupId = blank, Topics = [new() { Name = "topic", Partitions = [new() { CommittedOffset = 5 }] }],
        };
        Assert.Equal(ErrorCode.None, (await connection.CallAsync<OffsetCommitResponse>(commit, 9)).Topics[0].Partitions[0].ErrorCode);
        OffsetFetchResponse fetched = await connection.CallAsync<OffsetFetchResponse>(
            new OffsetFetchRequest { Groups = [new() { GroupId = blank, Topics = null }] }, 9);
        Assert.Equal(5, fetched.Groups[0].Topics[0].Partitions[0].CommittedOffset);
        DescribeGroupsResponse described = await connection.CallAsync<DescribeGroupsResponse>(
            new DescribeGroupsRequest { Groups = [blank] }, 6);
        Assert.Equal((ErrorCode.None, "Empty"), (described.Groups[0].ErrorCode, described.Groups[0].GroupState));
        FindCoordinatorResponse found = await connection.CallAsync<FindCoordinatorResponse>(new FindCoordinatorRequest { Key = blank }, 2);
        Assert.Equal(ErrorCode.None, found.ErrorCode);
        Assert.Equal([ErrorCode.None, ErrorCode.GroupIdNotFound], [await DeleteAsync(), await DeleteAsync()]);

        async Task<ErrorCode> DeleteAsync() => (await connection.CallAsync<DeleteGroupsResponse>(
            new DeleteGroupsRequest { GroupsNames = [blank] }, 3)).Results[0].ErrorCode;
    }

    [Fact]
    public async Task A_group_is_deleted_once_that_is_named_twice()
    {
        await using var kafka = new KafkaHarness();
        await kafka.Cluster.Group("g").CommitAsync(new("topic", 0), 1);
        DeleteGroupsResponse response = await kafka.Connect().CallAsync<DeleteGroupsResponse>(
            new DeleteGroupsRequest { GroupsNames = ["g", "g"] }, 3);
        Assert.Equal(("g", ErrorCode.None), Assert.Single(response.Results.Select(result => (result.GroupId, result.ErrorCode))));
    }

    [Fact]
    public async Task What_may_be_done_to_a_group_is_told_of_one_that_exists()
    {
        await using var kafka = new KafkaHarness();
        await kafka.Cluster.Group("g").CommitAsync(new("topic", 0), 1);
        TestConnection connection = kafka.Connect();
        var request = new DescribeGroupsRequest { Groups = ["g", "no"], IncludeAuthorizedOperations = true };
        DescribeGroupsResponse response = await connection.CallAsync<DescribeGroupsResponse>(request, 6);
        Assert.Equal([3400, int.MinValue], response.Groups.Select(group => group.AuthorizedOperations));
        response = await connection.CallAsync<DescribeGroupsResponse>(request, 5);
        Assert.Equal([3400, 3400], response.Groups.Select(group => group.AuthorizedOperations));
    }

    [Fact]
    public async Task OffsetDelete_refuses_topics_and_partitions_that_are_not_there_each_by_itself()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        await kafka.Cluster.Group("g").CommitAsync(new("topic", 0), 7);
        TestConnection connection = kafka.Connect();
        var request = new OffsetDeleteRequest
        {
            GroupId = "g",
            Topics =
            [
                new() { Name = "no", Partitions = [new() { PartitionIndex = 0 }] },
                new() { Name = "topic", Partitions = [new() { PartitionIndex = 9 }, new() { PartitionIndex = 0 }] },
                new() { Name = "topic", Partitions = [] },
            ],
        };
        OffsetDeleteResponse response = await connection.CallAsync<OffsetDeleteResponse>(request, 0);
        Assert.Equal(
            [
                ("no", 0, ErrorCode.UnknownTopicOrPartition), ("topic", 9, ErrorCode.UnknownTopicOrPartition),
                ("topic", 0, ErrorCode.None),
            ],
            response.Topics.SelectMany(
                topic => topic.Partitions, (topic, partition) => (topic.Name, partition.PartitionIndex, partition.ErrorCode)));
        Assert.Equal(-1, kafka.Cluster.Group("g").CommittedOffset(new("topic", 0)));
        request.GroupId = "no";
        Assert.Equal(ErrorCode.GroupIdNotFound, (await connection.CallAsync<OffsetDeleteResponse>(request, 0)).ErrorCode);
    }

    [Theory]
    [InlineData(8, ErrorCode.IllegalGeneration)]
    [InlineData(9, ErrorCode.GroupIdNotFound)]
    public async Task A_commit_in_a_generation_of_no_group_says_so_since_version_9(short version, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        var commit = new OffsetCommitRequest
        {
            GroupId = "no", GenerationIdOrMemberEpoch = 1,
            Topics = [new() { Name = "topic", Partitions = [new() { CommittedOffset = 5 }] }],
        };
        OffsetCommitResponse response = await kafka.Connect().CallAsync<OffsetCommitResponse>(commit, version);
        Assert.Equal(expected, response.Topics[0].Partitions[0].ErrorCode);
    }

    [Theory]
    [InlineData(null, "range")]
    [InlineData("consumer", null)]
    public async Task A_member_says_under_which_protocol_it_syncs(string? type, string? name)
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        var request = new SyncGroupRequest { GroupId = "g", MemberId = "m", ProtocolType = type, ProtocolName = name };
        Assert.Equal(ErrorCode.InconsistentGroupProtocol, (await connection.CallAsync<SyncGroupResponse>(request, 5)).ErrorCode);
        Assert.Equal(ErrorCode.UnknownMemberId, (await connection.CallAsync<SyncGroupResponse>(request, 4)).ErrorCode);
    }

    [Fact]
    public async Task A_join_that_failed_has_no_protocol()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        var request = new JoinGroupRequest { GroupId = "g", SessionTimeoutMs = 1, ProtocolType = "consumer" };
        Assert.Equal("", (await connection.CallAsync<JoinGroupResponse>(request, 6)).ProtocolName);
        Assert.Null((await connection.CallAsync<JoinGroupResponse>(request, 7)).ProtocolName);
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
