using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka.Tests;

public sealed class HandlerTests
{
    [Fact]
    public async Task ApiVersions_names_what_is_served_with_the_pins_that_clients_need()
    {
        await using var kafka = new KafkaHarness();
        ApiVersionsResponse response = await kafka.Connect().CallAsync<ApiVersionsResponse>(
            new ApiVersionsRequest { ClientSoftwareName = "librdkafka", ClientSoftwareVersion = "2.0.2" }, 3);
        Dictionary<ApiKey, (int Min, int Max)> served = response.ApiKeys.ToDictionary(
            api => (ApiKey)api.ApiKey, api => ((int)api.MinVersion, (int)api.MaxVersion));
        Assert.Equal((0, 13), served[ApiKey.Produce]);
        Assert.Equal((4, 18), served[ApiKey.Fetch]);
        Assert.Equal((0, 9), served[ApiKey.JoinGroup]);

        // Versions that clients send without asking, by the table of the protocol notes.
        (ApiKey, int)[] hardCoded =
        [
            (ApiKey.ApiVersions, 0), (ApiKey.ListOffsets, 1), (ApiKey.FindCoordinator, 0), (ApiKey.SyncGroup, 0), (ApiKey.Heartbeat, 0),
            (ApiKey.LeaveGroup, 0), (ApiKey.OffsetCommit, 2), (ApiKey.OffsetFetch, 1), (ApiKey.Fetch, 4), (ApiKey.Fetch, 10), (ApiKey.Produce, 3),
            (ApiKey.Produce, 7), (ApiKey.InitProducerId, 0), (ApiKey.OffsetCommit, 1),
        ];
        Assert.All(hardCoded, pin => Assert.InRange(pin.Item2, served[pin.Item1].Min, served[pin.Item1].Max));
        Assert.Empty(response.SupportedFeatures);
        Assert.DoesNotContain(ApiKey.SaslHandshake, served.Keys);
    }

    [Fact]
    public async Task Metadata_tells_the_addresses_of_the_listener_that_was_asked()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        MetadataResponse outer = await kafka.Connect().CallAsync<MetadataResponse>(Messages.Metadata("topic"), 12);
        Assert.Equal(["one.example:9092", "two.example:9092"], outer.Brokers.Select(broker => $"{broker.Host}:{broker.Port}"));
        Assert.Equal([1, 2], outer.Topics[0].Partitions.Select(partition => partition.LeaderId));
        Assert.All(outer.Brokers, broker => Assert.Null(broker.Rack));
        Assert.Equal(("test-cluster", 1), (outer.ClusterId, outer.ControllerId));

        // Broker 2 lacks the other listener: its partitions have no leader there.
        var other = new KafkaListener(new Listener("OTHER", "one.inner", 9192), null);
        MetadataResponse inner = await kafka.Connect(listener: other).CallAsync<MetadataResponse>(Messages.Metadata("topic"), 12);
        Assert.Equal(["one.inner:9192"], inner.Brokers.Select(broker => $"{broker.Host}:{broker.Port}"));
        Assert.Equal(
            [(ErrorCode.None, 1), (ErrorCode.LeaderNotAvailable, -1)],
            inner.Topics[0].Partitions.Select(partition => (partition.ErrorCode, partition.LeaderId)));
        Assert.Equal([2], inner.Topics[0].Partitions[1].OfflineReplicas);
    }

    [Fact]
    public async Task Metadata_lists_all_topics_or_none()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("b", 1);
        kafka.Cluster.AddTopic("a", 1);
        TestConnection connection = kafka.Connect();
        Assert.Equal(["a", "b"], await Names(new MetadataRequest { Topics = [] }, 0));
        Assert.Equal(["a", "b"], await Names(new MetadataRequest { Topics = null }, 1));
        Assert.Empty(await Names(new MetadataRequest { Topics = [] }, 1));

        async Task<IEnumerable<string?>> Names(MetadataRequest request, short version) =>
            (await connection.CallAsync<MetadataResponse>(request, version)).Topics.Select(topic => topic.Name);
    }

    [Theory]
    [InlineData(true, true, ErrorCode.None)]
    [InlineData(true, false, ErrorCode.UnknownTopicOrPartition)]
    [InlineData(false, true, ErrorCode.UnknownTopicOrPartition)]
    public async Task Metadata_creates_a_topic_where_broker_and_client_allow_it(bool broker, bool client, ErrorCode expected)
    {
        await using var kafka = new KafkaHarness(options => options with { AutoCreateTopics = broker });
        MetadataRequest request = Messages.Metadata("new");
        request.AllowAutoTopicCreation = client;
        MetadataResponse response = await kafka.Connect().CallAsync<MetadataResponse>(request, 8);
        Assert.Equal(expected, response.Topics[0].ErrorCode);
        Assert.Equal(expected == ErrorCode.None, kafka.Cluster.Topic("new").Description is not null);
    }

    [Fact]
    public async Task Metadata_refuses_bad_names_and_unknown_ids_each_by_itself()
    {
        await using var kafka = new KafkaHarness();
        Guid id = kafka.Cluster.AddTopic("topic", 1).Id;
        var request = new MetadataRequest
        {
            Topics = [new() { Name = "no/slash" }, new() { TopicId = id }, new() { TopicId = Guid.NewGuid() }],
        };
        MetadataResponse response = await kafka.Connect().CallAsync<MetadataResponse>(request, 12);
        Assert.Equal(
            [ErrorCode.InvalidTopicException, ErrorCode.None, ErrorCode.UnknownTopicId], response.Topics.Select(topic => topic.ErrorCode));
        Assert.Equal("topic", response.Topics[1].Name);
    }

    [Fact]
    public async Task Produce_answers_each_partition_by_itself()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        kafka.Cluster.Partition("topic", 1).AppendError = ErrorCode.MessageTooLarge;
        byte[] batch = Messages.Batch("x");
        ProduceResponse response = await kafka.Connect().CallAsync<ProduceResponse>(
            Messages.Produce("topic", [(0, batch), (1, batch), (9, batch), (0, [])]), 9);
        Assert.Equal(
            [(0, ErrorCode.None), (1, ErrorCode.MessageTooLarge), (9, ErrorCode.UnknownTopicOrPartition), (0, ErrorCode.InvalidRecord)],
            response.Responses[0].PartitionResponses.Select(partition => (partition.Index, partition.ErrorCode)));
        Assert.Equal("The test says so.", response.Responses[0].PartitionResponses[1].ErrorMessage);
    }

    [Fact]
    public async Task Produce_refuses_transactions_and_odd_acks()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        ProduceRequest transactional = Messages.Produce("topic", 0, Messages.Batch("x"));
        transactional.TransactionalId = "mine";
        Assert.Equal(ErrorCode.TransactionalIdAuthorizationFailed, await Error(transactional));
        Assert.Equal(ErrorCode.InvalidRequiredAcks, await Error(Messages.Produce("topic", 0, Messages.Batch("x"), acks: 2)));
        Assert.Empty(kafka.Cluster.Partition("topic", 0).Appends);

        async Task<ErrorCode> Error(ProduceRequest request) =>
            (await connection.CallAsync<ProduceResponse>(request, 9)).Responses[0].PartitionResponses[0].ErrorCode;
    }

    [Fact]
    public async Task What_is_known_of_a_topic_is_dropped_when_a_partition_says_otherwise()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        for (int i = 0; i < 3; i++)
        {
            await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        }

        Assert.Equal(1, kafka.Cluster.Topic("topic").Describes);
        kafka.Cluster.Partition("topic", 0).AppendError = ErrorCode.NotLeaderOrFollower;
        ProduceResponse moved = await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, moved.Responses[0].PartitionResponses[0].ErrorCode);
        kafka.Cluster.Partition("topic", 0).AppendError = ErrorCode.None;
        await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        Assert.Equal(2, kafka.Cluster.Topic("topic").Describes);
    }

    [Fact]
    public async Task CreateTopics_creates_each_by_itself_and_tells_the_configuration()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("old", 1);
        var request = new CreateTopicsRequest
        {
            Topics =
            [
                new() { Name = "new", NumPartitions = 3, ReplicationFactor = 1, Configs = [new() { Name = "retention.ms", Value = "1000" }] },
                new() { Name = "old", NumPartitions = 1, ReplicationFactor = 1 },
                new() { Name = "bad name", NumPartitions = 1, ReplicationFactor = 1 },
                new() { Name = "twice", NumPartitions = 1, ReplicationFactor = 1 },
                new() { Name = "twice", NumPartitions = 1, ReplicationFactor = 1 },
            ],
        };
        CreateTopicsResponse response = await kafka.Connect().CallAsync<CreateTopicsResponse>(request, 7);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.TopicAlreadyExists, ErrorCode.InvalidTopicException, ErrorCode.InvalidRequest, ErrorCode.InvalidRequest],
            response.Topics.Select(topic => topic.ErrorCode));
        CreateTopicsResponse.CreatableTopicConfigs retention = response.Topics[0].Configs!.Single(config => config.Name == "retention.ms");
        Assert.Equal(("1000", (sbyte)1), (retention.Value, retention.ConfigSource));
        Assert.All(response.Topics[0].Configs!, config => Assert.InRange(config.ConfigSource, 1, 5));
        Assert.Equal(3, kafka.Cluster.Topic("new").Description!.Partitions.Length);
    }

    [Fact]
    public async Task FindCoordinator_names_the_broker_of_the_group()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.Group("mine").Coordinator = 2;
        kafka.Cluster.Group("lost").Coordinator = 7;
        TestConnection connection = kafka.Connect();
        FindCoordinatorResponse one = await connection.CallAsync<FindCoordinatorResponse>(new FindCoordinatorRequest { Key = "mine" }, 0);
        Assert.Equal((2, "two.example", 9092), (one.NodeId, one.Host, one.Port));
        FindCoordinatorResponse several = await connection.CallAsync<FindCoordinatorResponse>(
            new FindCoordinatorRequest { CoordinatorKeys = ["mine", "lost", ""] }, 4);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.CoordinatorNotAvailable, ErrorCode.InvalidGroupId], several.Coordinators.Select(found => found.ErrorCode));
        FindCoordinatorResponse transaction = await connection.CallAsync<FindCoordinatorResponse>(
            new FindCoordinatorRequest { Key = "tx-1", KeyType = 1 }, 2);
        Assert.Contains("tx-1", transaction.ErrorMessage, StringComparison.Ordinal);
    }

    [Fact]
    public async Task JoinGroup_asks_again_with_its_member_id_while_the_rebalance_goes_on()
    {
        await using var kafka = new KafkaHarness();
        FakeGroup group = kafka.Cluster.Group("g");
        group.Joins.Enqueue(new JoinGroupResult(ErrorCode.None, true, "m-1", -1, null, null, "", false, []));
        group.Joins.Enqueue(new JoinGroupResult(ErrorCode.None, false, "m-1", 3, "consumer", "range", "m-1", false, [new JoinedMember("m-1", null, new byte[] { 1, 2 })]));
        var request = new JoinGroupRequest
        {
            GroupId = "g", ProtocolType = "consumer", SessionTimeoutMs = 10_000, Protocols = [new() { Name = "range", Metadata = new byte[] { 9 } }],
        };
        JoinGroupResponse response = await kafka.Connect().CallAsync<JoinGroupResponse>(request, 5);
        Assert.Equal((3, "m-1", "range"), (response.GenerationId, response.MemberId, response.ProtocolName));
        Assert.Equal(["", "m-1"], group.JoinCommands.Select(command => command.MemberId));
        Assert.Equal((true, "test-client", "/127.0.0.1"), (group.JoinCommands[0].RequireKnownMemberId, group.JoinCommands[0].ClientId, group.JoinCommands[0].ClientHost));
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
                new() { Name = "topic", Partitions = [new() { PartitionIndex = 0, CommittedOffset = 42, CommittedMetadata = null }, new() { PartitionIndex = 5 }] },
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
        OffsetFetchResponse all = await connection.CallAsync<OffsetFetchResponse>(new OffsetFetchRequest { GroupId = "g", Topics = null }, 5);
        Assert.Equal(42, all.Topics.Single().Partitions.Single().CommittedOffset);
        OffsetFetchResponse unknown = await connection.CallAsync<OffsetFetchResponse>(
            new OffsetFetchRequest { GroupId = "nobody", Topics = [new() { Name = "topic", PartitionIndexes = [0] }] }, 5);
        Assert.Equal((ErrorCode.None, -1L, ""), (unknown.ErrorCode, unknown.Topics[0].Partitions[0].CommittedOffset, unknown.Topics[0].Partitions[0].Metadata));
        OffsetFetchResponse byId = await connection.CallAsync<OffsetFetchResponse>(
            new OffsetFetchRequest { Groups = [new() { GroupId = "g", Topics = [new() { TopicId = id, PartitionIndexes = [0] }] }, new() { GroupId = "g", Topics = null }] }, 10);
        Assert.All(byId.Groups, group => Assert.Equal((id, 42L), (group.Topics.Single().TopicId, group.Topics[0].Partitions[0].CommittedOffset)));
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
        foreach ((string id, string state) in new[] { ("a", "Stable"), ("b", "Empty"), ("c", "Dead") })
        {
            kafka.Cluster.Group(id).Description = new GroupDescription(ErrorCode.None, id, state, 1, "consumer", "range", 1, []);
        }

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
        kafka.Cluster.Group("a").Description = new GroupDescription(ErrorCode.None, "a", "Stable", 1, "consumer", "range", 1, []);
        kafka.Cluster.Group("b").Failure = new ArusException(ErrorCode.NotCoordinator, "It moves.");
        ListGroupsResponse response = await kafka.Connect().CallAsync<ListGroupsResponse>(new ListGroupsRequest(), 5);
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        Assert.Equal([("a", "Stable"), ("b", "Unknown")], response.Groups.Select(group => (group.GroupId, group.GroupState)));
    }

    [Fact]
    public async Task A_topic_that_cannot_be_described_is_listed_with_its_error()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 1);
        kafka.Cluster.AddTopic("b", 1);
        kafka.Cluster.Topic("b").Failure = new TimeoutException();
        MetadataResponse response = await kafka.Connect().CallAsync<MetadataResponse>(new MetadataRequest { Topics = null }, 12);
        Assert.Equal([("a", ErrorCode.None), ("b", ErrorCode.LeaderNotAvailable)], response.Topics.Select(topic => (topic.Name, topic.ErrorCode)));
    }

    [Fact]
    public async Task A_list_of_topics_that_cannot_be_had_is_not_taken_for_an_empty_one()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.CatalogFailure = new TimeoutException();
        TestConnection metadata = kafka.Connect();
        await metadata.SendAsync(new MetadataRequest { Topics = null }, 12);
        Assert.Null(await metadata.ReceiveFrameAsync());
        TestConnection partitions = kafka.Connect();
        await partitions.SendAsync(new DescribeTopicPartitionsRequest(), 0);
        Assert.Null(await partitions.ReceiveFrameAsync());

        // What passes by itself is no complaint.
        Assert.Empty(kafka.Log.Complaints);
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
        TestConnection connection = kafka.Connect();
        LeaveGroupResponse old = await connection.CallAsync<LeaveGroupResponse>(new LeaveGroupRequest { GroupId = "g", MemberId = "gone" }, 1);
        Assert.Equal(ErrorCode.UnknownMemberId, old.ErrorCode);
        LeaveGroupResponse current = await connection.CallAsync<LeaveGroupResponse>(
            new LeaveGroupRequest { GroupId = "g", Members = [new() { MemberId = "here" }, new() { MemberId = "gone" }] }, 4);
        Assert.Equal(
            (ErrorCode.None, ErrorCode.None, ErrorCode.UnknownMemberId), (current.ErrorCode, current.Members[0].ErrorCode, current.Members[1].ErrorCode));
    }

    [Fact]
    public async Task Producer_ids_come_from_a_block_and_transactional_ids_are_refused()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        InitProducerIdResponse first = await connection.CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), 4);
        InitProducerIdResponse second = await kafka.Connect().CallAsync<InitProducerIdResponse>(new InitProducerIdRequest(), 0);
        Assert.Equal((1_000_000L, 0, 1_000_001L), (first.ProducerId, (int)first.ProducerEpoch, second.ProducerId));
        Assert.Equal(1, kafka.Cluster.ProducerBlocks);
        InitProducerIdResponse refused = await connection.CallAsync<InitProducerIdResponse>(new InitProducerIdRequest { TransactionalId = "t" }, 4);
        Assert.Equal(ErrorCode.TransactionalIdAuthorizationFailed, refused.ErrorCode);
    }

    [Fact]
    public async Task Configuration_is_described_and_changed()
    {
        await using var kafka = new KafkaHarness();
        TopicDescription topic = kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Topic("topic").Description = topic with { Configs = new() { ["retention.ms"] = "5000", ["segment.ms"] = "6000" } };
        TestConnection connection = kafka.Connect();
        var describe = new DescribeConfigsRequest
        {
            IncludeSynonyms = true,
            Resources =
            [
                new() { ResourceType = 2, ResourceName = "topic", ConfigurationKeys = ["retention.ms"] },
                new() { ResourceType = 4, ResourceName = "1" },
                new() { ResourceType = 4, ResourceName = "2" },
                new() { ResourceType = 2, ResourceName = "missing" },
            ],
        };
        DescribeConfigsResponse described = await connection.CallAsync<DescribeConfigsResponse>(describe, 4);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.None, ErrorCode.InvalidRequest, ErrorCode.UnknownTopicOrPartition], described.Results.Select(result => result.ErrorCode));
        DescribeConfigsResponse.DescribeConfigsResourceResult retention = Assert.Single(described.Results[0].Configs);
        Assert.Equal(("5000", (sbyte)1, (sbyte)ConfigType.Long), (retention.Value, retention.ConfigSource, retention.ConfigType));
        Assert.Equal(["retention.ms", "log.retention.ms"], retention.Synonyms.Select(synonym => synonym.Name));
        Assert.Contains(described.Results[1].Configs, config => config.Name == "socket.request.max.bytes" && config.ReadOnly);

        // The old call replaces everything; the new one changes what it names.
        var replace = new AlterConfigsRequest { Resources = [new() { ResourceType = 2, ResourceName = "topic", Configs = [new() { Name = "retention.ms", Value = "7000" }] }] };
        Assert.Equal(ErrorCode.None, (await connection.CallAsync<AlterConfigsResponse>(replace, 1)).Responses[0].ErrorCode);
        var change = new IncrementalAlterConfigsRequest
        {
            Resources =
            [
                new() { ResourceType = 2, ResourceName = "topic", Configs = [new() { Name = "retention.ms", ConfigOperation = 1 }] },
                new() { ResourceType = 2, ResourceName = "topic", Configs = [new() { Name = "retention.ms", ConfigOperation = 9 }] },
                new() { ResourceType = 4, ResourceName = "1", Configs = [new() { Name = "num.partitions", Value = "2" }] },
            ],
        };
        IncrementalAlterConfigsResponse changed = await connection.CallAsync<IncrementalAlterConfigsResponse>(change, 1);
        Assert.Equal([ErrorCode.None, ErrorCode.InvalidRequest, ErrorCode.InvalidRequest], changed.Responses.Select(response => response.ErrorCode));
        Assert.Equal(
            [("retention.ms", ConfigOperation.Set), ("segment.ms", ConfigOperation.Delete), ("retention.ms", ConfigOperation.Delete)],
            kafka.Cluster.Topic("topic").Changes.Select(item => (item.Key, item.Operation)));
    }

    [Fact]
    public async Task Partitions_are_described_page_by_page()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("a", 3);
        kafka.Cluster.AddTopic("b", 2);
        TestConnection connection = kafka.Connect();
        var request = new DescribeTopicPartitionsRequest { ResponsePartitionLimit = 2 };
        var pages = new List<string>();
        do
        {
            DescribeTopicPartitionsResponse page = await connection.CallAsync<DescribeTopicPartitionsResponse>(request, 0);
            pages.Add(string.Join(' ', page.Topics.SelectMany(topic => topic.Partitions.Select(partition => $"{topic.Name}{partition.PartitionIndex}"))));
            request.Cursor = page.NextCursor is null ? null : new() { TopicName = page.NextCursor.TopicName, PartitionIndex = page.NextCursor.PartitionIndex };
        }
        while (request.Cursor is not null);
        Assert.Equal(["a0 a1", "a2 b0", "b1"], pages);
    }

    [Fact]
    public async Task Offsets_records_epochs_and_disks_are_told_by_the_partitions()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        kafka.Cluster.Partition("topic", 0).Put(Messages.Batch("a", "b"));
        TestConnection connection = kafka.Connect();
        ListOffsetsResponse offsets = await connection.CallAsync<ListOffsetsResponse>(
            new ListOffsetsRequest { Topics = [new() { Name = "topic", Partitions = [new() { Timestamp = -1 }, new() { Timestamp = -2 }, new() { PartitionIndex = 4 }] }] }, 5);
        Assert.Equal(
            [(ErrorCode.None, 2L), (ErrorCode.None, 0L), (ErrorCode.UnknownTopicOrPartition, -1L)],
            offsets.Topics[0].Partitions.Select(partition => (partition.ErrorCode, partition.Offset)));
        Protocol.DeleteRecordsResponse deleted = await connection.CallAsync<Protocol.DeleteRecordsResponse>(
            new DeleteRecordsRequest { Topics = [new() { Name = "topic", Partitions = [new() { PartitionIndex = 0, Offset = 1 }] }] }, 2);
        Assert.Equal(1, deleted.Topics[0].Partitions[0].LowWatermark);
        OffsetForLeaderEpochResponse epochs = await connection.CallAsync<OffsetForLeaderEpochResponse>(
            new OffsetForLeaderEpochRequest { Topics = [new() { Topic = "topic", Partitions = [new() { Partition = 0, LeaderEpoch = 5 }] }] }, 3);
        Assert.Equal((5, 2L), (epochs.Topics[0].Partitions[0].LeaderEpoch, epochs.Topics[0].Partitions[0].EndOffset));

        // Broker 1 leads partition 0 only.
        DescribeLogDirsResponse disks = await connection.CallAsync<DescribeLogDirsResponse>(new DescribeLogDirsRequest { Topics = null }, 4);
        Assert.Equal([(0, 1234L)], disks.Results[0].Topics[0].Partitions.Select(partition => (partition.PartitionIndex, partition.PartitionSize)));
        DescribeClusterResponse cluster = await connection.CallAsync<DescribeClusterResponse>(new DescribeClusterRequest(), 1);
        Assert.Equal([1, 2], cluster.Brokers.Select(broker => broker.BrokerId));
    }
}
