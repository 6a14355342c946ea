using Arus.Testing;
using Arus.Grains;

namespace Arus.Cluster.Tests;

public sealed class TopicTests(OneBroker one) : IClassFixture<OneBroker>
{
    private readonly BrokerCluster _cluster = one.Cluster;

    [Fact]
    public async Task A_topic_is_described_and_listed_once_it_is_created()
    {
        TopicDescription created = await _cluster.CreateTopicAsync("created", 3, ("retention.ms", "1000"));
        Assert.Equal(3, created.Partitions.Length);
        Assert.All(created.Partitions, partition => Assert.Equal([1], partition.Replicas));
        Assert.All(created.Partitions, partition => Assert.Equal([1], partition.Isr));
        Assert.All(created.Partitions, partition => Assert.Equal(1, partition.Leader));
        TopicDescription described = (await _cluster.Topic("created").DescribeAsync())!;
        Assert.Equal(created.Id, described.Id);
        Assert.Equal("1000", described.Configs["retention.ms"]);
        Assert.Contains("created", await _cluster.ListTopicsAsync());
        ITopicCatalogGrain shard = _cluster.Grains.GetGrain<ITopicCatalogGrain>(TopicCatalog.ShardOf(created.Id));
        Assert.Equal("created", await shard.FindNameAsync(created.Id));
    }

    [Theory]
    [InlineData("no/slash", 1, ErrorCode.InvalidTopicException)]
    [InlineData("refused", 0, ErrorCode.InvalidPartitions)]
    public async Task What_cannot_be_created_leaves_nothing_behind(string name, int partitions, ErrorCode code)
    {
        Assert.Equal(code, (await Assert.ThrowsAsync<ArusException>(() => _cluster.CreateTopicAsync(name, partitions))).Code);
        Assert.Null(await _cluster.Topic(name).DescribeAsync());
        Assert.DoesNotContain(name, await _cluster.ListTopicsAsync());
    }

    [Fact]
    public async Task Checking_only_creates_nothing()
    {
        TopicDescription planned = await _cluster.Topic("planned").CreateAsync(new TopicSpec(2, -1, null, [], ValidateOnly: true));
        Assert.Equal(2, planned.Partitions.Length);
        Assert.Null(await _cluster.Topic("planned").DescribeAsync());
    }

    [Fact]
    public async Task A_name_is_taken_once()
    {
        await _cluster.CreateTopicAsync("twice");
        ArusException refusal = await Assert.ThrowsAsync<ArusException>(() => _cluster.CreateTopicAsync("twice"));
        Assert.Equal((ErrorCode.TopicAlreadyExists, "Topic 'twice' already exists."), (refusal.Code, refusal.Message));
    }

    [Fact]
    public async Task Replication_is_refused()
    {
        Task Create() => _cluster.Topic("replicated").CreateAsync(new TopicSpec(1, 2, null, [], false));
        Assert.Equal(ErrorCode.InvalidReplicationFactor, (await Assert.ThrowsAsync<ArusException>(Create)).Code);
    }

    [Fact]
    public async Task A_deleted_topic_is_gone_with_its_records_and_its_name_is_free()
    {
        TopicDescription first = await _cluster.CreateTopicAsync("deleted");
        await _cluster.Partition("deleted", 0).AppendAsync(Batches.Append("old"));
        await _cluster.Topic("deleted").DeleteAsync();
        Assert.Null(await _cluster.Topic("deleted").DescribeAsync());
        Assert.DoesNotContain("deleted", await _cluster.ListTopicsAsync());
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await _cluster.Partition("deleted", 0).FetchAsync(Batches.Fetch(0))).Error);
        ArusException unknown = await Assert.ThrowsAsync<ArusException>(() => _cluster.Topic("deleted").DeleteAsync());
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, unknown.Code);

        TopicDescription second = await _cluster.CreateTopicAsync("deleted");
        Assert.NotEqual(first.Id, second.Id);
        PartitionReadResult empty = await _cluster.Partition("deleted", 0).FetchAsync(Batches.Fetch(0));
        Assert.Equal((ErrorCode.None, 0L), (empty.Error, empty.HighWatermark));
    }

    [Fact]
    public async Task Calls_by_the_id_of_a_deleted_topic_do_not_reach_another_of_its_name()
    {
        Guid dead = (await _cluster.CreateTopicAsync("renewed")).Id;
        await _cluster.Topic("renewed").DeleteAsync();
        Guid present = (await _cluster.CreateTopicAsync("renewed")).Id;
        IPartitionGrain partition = _cluster.Partition("renewed", 0);
        await partition.AppendAsync(Batches.Append("new") with { TopicId = present });

        Assert.Equal(
            ErrorCode.UnknownTopicId, (await partition.AppendAsync(Batches.Append("old") with { TopicId = dead })).Results[0].Error);
        Assert.Equal(ErrorCode.UnknownTopicId, (await partition.FetchAsync(Batches.Fetch(0) with { TopicId = dead })).Error);
        var wait = new PartitionWait(0, -1, 1_000, 1_000, IsolationLevel.ReadUncommitted, dead);
        Assert.Equal(ErrorCode.UnknownTopicId, (await partition.WaitForOffsetAsync(wait)).Error);
        var list = new ListOffsetRequest(ListOffsetRequest.Latest, -1, IsolationLevel.ReadUncommitted, dead);
        Assert.Equal(ErrorCode.UnknownTopicId, (await partition.ListOffsetAsync(list)).Error);
        Assert.Equal(ErrorCode.UnknownTopicId, (await partition.GetEpochEndAsync(-1, 0, dead)).Error);
        Assert.Equal(ErrorCode.UnknownTopicId, (await partition.DeleteRecordsAsync(-1, dead)).Error);
        ArusException other = await Assert.ThrowsAsync<ArusException>(() => _cluster.Topic("renewed").DeleteAsync(dead));
        Assert.Equal(ErrorCode.UnknownTopicId, other.Code);

        Assert.Equal([(0L, "new")], Batches.Read(await partition.FetchAsync(Batches.Fetch(0) with { TopicId = present })));
        await _cluster.Topic("renewed").DeleteAsync(present);
    }

    [Fact]
    public async Task A_report_of_a_deleted_topics_leader_does_not_count_for_another_of_its_name()
    {
        Guid dead = (await _cluster.CreateTopicAsync("reported")).Id;
        await _cluster.Topic("reported").DeleteAsync();
        TopicDescription present = await _cluster.CreateTopicAsync("reported");
        await _cluster.Topic("reported").ReportLeaderAsync(0, 1, 77, dead);
        Assert.Equal(present.Partitions[0].LeaderEpoch, (await _cluster.Topic("reported").DescribeAsync())!.Partitions[0].LeaderEpoch);
    }

    [Fact]
    public async Task Those_who_wait_for_records_of_a_topic_learn_that_it_is_deleted()
    {
        await _cluster.CreateTopicAsync("waited");
        IPartitionGrain partition = _cluster.Partition("waited", 0);
        Task<PartitionReadResult> fetch = partition.FetchAsync(Batches.Fetch(0, waitMs: PartitionRead.MaxWaitLimitMs));
        Task<PartitionOffsets> wait = partition.WaitForOffsetAsync(
            new PartitionWait(0, -1, 1_000, PartitionRead.MaxWaitLimitMs, IsolationLevel.ReadUncommitted));
        Assert.Equal(ErrorCode.None, (await partition.DescribeAsync()).Error);
        await _cluster.Topic("waited").DeleteAsync();
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await fetch.WaitAsync(TestTimeout.Value)).Error);
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await wait.WaitAsync(TestTimeout.Value)).Error);
    }

    [Fact]
    public async Task Records_of_a_topic_that_is_only_compacted_are_not_deleted()
    {
        await _cluster.CreateTopicAsync("compacted");
        IPartitionGrain partition = _cluster.Partition("compacted", 0);
        await partition.AppendAsync(Batches.Append("kept"));
        await _cluster.Topic("compacted").AlterConfigsAsync(
            [new ConfigChange("cleanup.policy", ConfigOperation.Set, "compact")], validateOnly: false);
        Assert.Equal(new DeleteRecordsResponse(ErrorCode.PolicyViolation), await partition.DeleteRecordsAsync(1));
        await _cluster.Topic("compacted").AlterConfigsAsync(
            [new ConfigChange("cleanup.policy", ConfigOperation.Set, "compact,delete")], validateOnly: false);
        Assert.Equal(new DeleteRecordsResponse(ErrorCode.None, 1), await partition.DeleteRecordsAsync(1));
    }

    [Fact]
    public async Task Names_that_are_one_in_metrics_are_for_one_topic()
    {
        await _cluster.CreateTopicAsync("one.name_of");
        foreach (string name in new[] { "one_name.of", "one_name_of", "one.name.of" })
        {
            ArusException refusal = await Assert.ThrowsAsync<ArusException>(() => _cluster.CreateTopicAsync(name));
            Assert.Equal(ErrorCode.InvalidTopicException, refusal.Code);
            Assert.Contains("'one.name_of'", refusal.Message);
        }

        await _cluster.CreateTopicAsync("one-name_of");
        Assert.DoesNotContain("one_name.of", await _cluster.ListTopicsAsync());
        await _cluster.Topic("one.name_of").DeleteAsync();
        await _cluster.CreateTopicAsync("one_name.of");
    }

    [Fact]
    public async Task Of_names_that_are_one_in_metrics_one_wins_a_race()
    {
        for (int round = 0; round < 10; round++)
        {
            string[] names = [$"race.{round}", $"race_{round}"];
            Exception?[] failures = await Task.WhenAll(
                names.Select(name => Record.ExceptionAsync(() => _cluster.CreateTopicAsync(name))));
            Exception failure = Assert.Single(failures.OfType<Exception>());
            Assert.Equal(ErrorCode.InvalidTopicException, Assert.IsType<ArusException>(failure).Code);
            Assert.Single((await _cluster.ListTopicsAsync()).Intersect(names));
        }
    }

    [Fact]
    public async Task A_partition_that_nobody_has_led_yet_is_in_its_first_epoch()
    {
        TopicDescription created = await _cluster.CreateTopicAsync("unused", 2);
        Assert.Equal([0, 0], created.Partitions.Select(partition => partition.LeaderEpoch));
        await _cluster.Partition("unused", 1).DescribeAsync();
        TopicDescription grown = await _cluster.Topic("unused").CreatePartitionsAsync(3, null, validateOnly: false);
        Assert.Equal([0, 0, 0], grown.Partitions.Select(partition => partition.LeaderEpoch));
        Assert.Equal(0, (await _cluster.Partition("unused", 2).DescribeAsync()).LeaderEpoch);
    }

    [Fact]
    public async Task A_topic_with_the_longest_name_is_created_deleted_and_created_again()
    {
        string name = new('n', TopicName.MaxLength);
        for (int round = 0; round < 3; round++)
        {
            Guid id = (await _cluster.CreateTopicAsync(name, 2)).Id;
            PartitionAppendResult appended = await _cluster.Partition(name, 1).AppendAsync(Batches.Append("x") with { TopicId = id });
            Assert.Equal((ErrorCode.None, 0L), (appended.Results[0].Error, appended.Results[0].BaseOffset));
            await _cluster.Topic(name).DeleteAsync();
            Assert.False(Directory.Exists(Path.Combine(_cluster.LogDirectory(1), $"{name}-1")));
        }
    }

    [Fact]
    public async Task Partitions_are_added_but_not_taken_away()
    {
        TopicDescription before = await _cluster.CreateTopicAsync("grows", 2);
        TopicDescription after = await _cluster.Topic("grows").CreatePartitionsAsync(5, null, validateOnly: false);
        Assert.Equal(5, after.Partitions.Length);
        Assert.True(after.Version > before.Version);
        PartitionAppendResult appended = await _cluster.Partition("grows", 4).AppendAsync(Batches.Append("a"));
        Assert.Equal(ErrorCode.None, appended.Results[0].Error);
        Task Shrink() => _cluster.Topic("grows").CreatePartitionsAsync(3, null, validateOnly: false);
        Assert.Equal(ErrorCode.InvalidPartitions, (await Assert.ThrowsAsync<ArusException>(Shrink)).Code);
    }

    [Fact]
    public async Task Configuration_changes_reach_the_open_log()
    {
        await _cluster.CreateTopicAsync("configured");
        Assert.Equal(ErrorCode.None, (await _cluster.Partition("configured", 0).AppendAsync(Batches.Append("fits"))).Results[0].Error);
        await _cluster.Topic("configured").AlterConfigsAsync(
            [new ConfigChange("max.message.bytes", ConfigOperation.Set, "10")], validateOnly: false);
        AppendEntryResult refused = (await _cluster.Partition("configured", 0).AppendAsync(Batches.Append("does not fit"))).Results[0];
        Assert.Equal(ErrorCode.MessageTooLarge, refused.Error);
        Assert.NotNull(refused.Message);
    }

    [Fact]
    public async Task One_bad_key_changes_nothing()
    {
        await _cluster.CreateTopicAsync("unchanged");
        Task Alter() => _cluster.Topic("unchanged").AlterConfigsAsync(
            [new ConfigChange("retention.ms", ConfigOperation.Set, "5"), new ConfigChange("retention.bytes", ConfigOperation.Set, "x")],
            validateOnly: false);
        ArusException refusal = await Assert.ThrowsAsync<ArusException>(Alter);
        Assert.Equal(ErrorCode.InvalidConfig, refusal.Code);
        Assert.Contains("retention.bytes=x", refusal.Message);
        Assert.Empty((await _cluster.Topic("unchanged").DescribeAsync())!.Configs);
    }

    [Fact]
    public async Task A_creation_that_was_cut_short_before_the_topic_was_written_is_forgotten()
    {
        Guid id = TopicCatalog.IdFor("ghost", Guid.NewGuid());
        ITopicCatalogGrain shard = _cluster.Grains.GetGrain<ITopicCatalogGrain>(TopicCatalog.ShardOf("ghost"));
        await shard.PrepareAsync(new TopicListing("ghost", id, 1, false));
        Assert.DoesNotContain("ghost", await _cluster.ListTopicsAsync());
        Assert.Equal(3, (await _cluster.CreateTopicAsync("ghost", 3)).Partitions.Length);
        Assert.Contains("ghost", await _cluster.ListTopicsAsync());
    }

    [Fact]
    public async Task Producer_ids_are_given_once()
    {
        IProducerIdGrain ids = _cluster.Grains.GetGrain<IProducerIdGrain>(0);
        long first = await ids.AllocateBlockAsync(1_000);
        long second = await ids.AllocateBlockAsync(1);
        long third = await ids.AllocateBlockAsync(1);
        Assert.Equal((first + 1_000, first + 1_001), (second, third));
        Assert.Equal(ErrorCode.InvalidRequest, (await Assert.ThrowsAsync<ArusException>(() => ids.AllocateBlockAsync(0))).Code);
    }
}

/// <summary>One broker for many tests.</summary>
public sealed class OneBroker : IAsyncLifetime
{
    public BrokerCluster Cluster { get; private set; } = null!;

    public async Task InitializeAsync() => Cluster = await BrokerCluster.StartAsync(1);

    public async Task DisposeAsync() => await Cluster.DisposeAsync();
}
