using Arus.Testing;
using Arus.Grains;
using Arus.Storage;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;

namespace Arus.Cluster.Tests;

public sealed class PartitionTests(OneBroker one) : IClassFixture<OneBroker>
{
    private readonly BrokerCluster _cluster = one.Cluster;

    [Fact]
    public async Task What_was_appended_is_fetched_in_order()
    {
        IPartitionGrain partition = await CreateAsync("fetched");
        var request = new PartitionAppend(-1, 5_000, [Batches.Of("a", "b"), Batches.Of("c")]);
        PartitionAppendResult appended = await partition.AppendAsync(request);
        Assert.Equal([0, 2], appended.Results.Select(result => result.BaseOffset));
        PartitionReadResult fetched = await partition.FetchAsync(Batches.Fetch(0));
        Assert.Equal([(0L, "a"), (1L, "b"), (2L, "c")], Batches.Read(fetched));
        Assert.Equal((3L, 3L, 0L), (fetched.HighWatermark, fetched.LastStableOffset, fetched.LogStartOffset));
        Assert.Equal([(2L, "c")], Batches.Read(await partition.FetchAsync(Batches.Fetch(2))));
    }

    [Fact]
    public async Task A_fetch_at_the_end_is_answered_when_a_record_arrives()
    {
        IPartitionGrain partition = await CreateAsync("waited-for");
        Task<PartitionReadResult> waiting = partition.FetchAsync(Batches.Fetch(0, waitMs: PartitionRead.MaxWaitLimitMs));
        Assert.Equal(ErrorCode.None, (await partition.DescribeAsync()).Error);
        Assert.False(waiting.IsCompleted);
        await partition.AppendAsync(Batches.Append("now"));
        Assert.Equal([(0L, "now")], Batches.Read(await waiting));
    }

    [Fact]
    public async Task A_fetch_at_the_end_gives_up_in_time()
    {
        IPartitionGrain partition = await CreateAsync("never");
        PartitionReadResult empty = await partition.FetchAsync(Batches.Fetch(0, waitMs: 1));
        Assert.Equal((ErrorCode.None, 0), (empty.Error, empty.Records.Count));
    }

    [Fact]
    public async Task A_wait_for_an_offset_answers_offsets_and_the_bytes_that_became_available()
    {
        IPartitionGrain partition = await CreateAsync("watched");
        int epoch = (await partition.DescribeAsync()).LeaderEpoch;
        PartitionAppend append = Batches.Append("a", "b");
        Task<PartitionOffsets> waiting = partition.WaitForOffsetAsync(Wait(0, PartitionRead.MaxWaitLimitMs));
        Assert.Equal(ErrorCode.None, (await partition.DescribeAsync()).Error);
        Assert.False(waiting.IsCompleted);
        await partition.AppendAsync(append);
        Assert.Equal(new PartitionOffsets(ErrorCode.None, epoch, 2, 2, 0, append.Entries.SizeInBytes), await waiting);
        Assert.Equal(new PartitionOffsets(ErrorCode.None, epoch, 2, 2, 0, 0), await partition.WaitForOffsetAsync(Wait(2, 1)));

        static PartitionWait Wait(long afterOffset, int maxWaitMs) =>
            new(afterOffset, -1, 1_000_000, maxWaitMs, IsolationLevel.ReadUncommitted);
    }

    [Fact]
    public async Task A_fetch_returns_no_less_than_its_minimum()
    {
        IPartitionGrain partition = await CreateAsync("minimum");
        PartitionAppend append = Batches.Append("a", "b");
        await partition.AppendAsync(append);
        int size = (int)append.Entries.SizeInBytes;
        PartitionReadResult less = await partition.FetchAsync(Batches.Fetch(0) with { MinBytes = size + 1 });
        Assert.Equal((ErrorCode.None, 2L, 0L), (less.Error, less.HighWatermark, less.Records.SizeInBytes));
        Assert.Equal(size, (await partition.FetchAsync(Batches.Fetch(0) with { MinBytes = size })).Records.SizeInBytes);
    }

    [Fact]
    public async Task An_activation_describes_its_topic_once()
    {
        IPartitionGrain partition = await CreateAsync("described");
        await partition.AppendAsync(Batches.Append("a"));
        Assert.Equal(
            (1, 1),
            (_cluster.TopicCalls["described.DescribePartitionAsync"], _cluster.TopicCalls["described.ReportLeaderAsync"]));
    }

    [Fact]
    public async Task What_lies_outside_the_log_is_out_of_range()
    {
        IPartitionGrain partition = await CreateAsync("range");
        await partition.AppendAsync(Batches.Append("a", "b"));
        await partition.AppendAsync(Batches.Append("c"));
        PartitionReadResult beyond = await partition.FetchAsync(Batches.Fetch(9, waitMs: 5_000));
        Assert.Equal((ErrorCode.OffsetOutOfRange, -1L, -1L), (beyond.Error, beyond.HighWatermark, beyond.LogStartOffset));
        Assert.Equal(new DeleteRecordsResponse(ErrorCode.None, 2), await partition.DeleteRecordsAsync(2));
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await partition.FetchAsync(Batches.Fetch(0))).Error);
        Assert.Equal(ErrorCode.OffsetOutOfRange, (await partition.DeleteRecordsAsync(9)).Error);
    }

    [Fact]
    public async Task Offsets_are_found_by_time()
    {
        IPartitionGrain partition = await CreateAsync("times");
        await partition.AppendAsync(Batches.Append("a", "b"));
        async Task<long> Find(long timestamp) =>
            (await partition.ListOffsetAsync(new ListOffsetRequest(timestamp, -1, IsolationLevel.ReadUncommitted))).Offset;
        Assert.Equal(2, await Find(ListOffsetRequest.Latest));
        Assert.Equal(0, await Find(ListOffsetRequest.Earliest));
        Assert.Equal(0, await Find(ListOffsetRequest.MaxTimestamp));
        Assert.Equal(0, await Find(1_600_000_000_000));
        Assert.Equal(-1, await Find(1_800_000_000_000));
    }

    [Fact]
    public async Task An_unknown_topic_or_partition_is_refused_and_no_files_are_made()
    {
        PartitionAppendResult refused = await _cluster.Partition("unknown", 0).AppendAsync(Batches.Append("a"));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, refused.Results[0].Error);
        await CreateAsync("known");
        PartitionReadResult beyond = await _cluster.Partition("known", 1).FetchAsync(Batches.Fetch(0));
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, beyond.Error);
        Assert.DoesNotContain(
            _cluster.Services(1).GetRequiredService<LocalPartitions>().Claims,
            claim => claim.Partition.Topic == "unknown" || claim.Partition.Partition == 1);
    }

    [Fact]
    public async Task A_topic_that_is_created_after_it_was_asked_for_is_served()
    {
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, (await _cluster.Partition("late", 0).FetchAsync(Batches.Fetch(0))).Error);
        await CreateAsync("late");
        Assert.Equal(ErrorCode.None, (await _cluster.Partition("late", 0).FetchAsync(Batches.Fetch(0))).Error);
    }

    [Fact]
    public async Task A_request_that_believes_in_another_epoch_is_refused()
    {
        IPartitionGrain partition = await CreateAsync("epochs");
        int epoch = (await partition.DescribeAsync()).LeaderEpoch;
        Assert.Equal(ErrorCode.None, (await partition.FetchAsync(Batches.Fetch(0, epoch: epoch))).Error);
        Assert.Equal(ErrorCode.UnknownLeaderEpoch, (await partition.FetchAsync(Batches.Fetch(0, epoch: epoch + 1))).Error);
        Assert.Equal(
            ErrorCode.UnknownLeaderEpoch,
            (await partition.ListOffsetAsync(
                new ListOffsetRequest(ListOffsetRequest.Latest, epoch + 1, IsolationLevel.ReadUncommitted))).Error);
        Assert.Equal(ErrorCode.UnknownLeaderEpoch, (await partition.GetEpochEndAsync(epoch + 1, 0)).Error);
    }

    [Fact]
    public async Task Acknowledgement_by_all_needs_enough_replicas()
    {
        await _cluster.CreateTopicAsync("demanding", 1, ("min.insync.replicas", "2"));
        IPartitionGrain partition = _cluster.Partition("demanding", 0);
        AppendEntryResult refused = (await partition.AppendAsync(Batches.Append("a"))).Results[0];
        Assert.Equal(ErrorCode.NotEnoughReplicas, refused.Error);
        Assert.Equal(ErrorCode.None, (await partition.AppendAsync(Batches.Append("a") with { RequiredAcks = 1 })).Results[0].Error);
        PartitionAppendResult odd = await partition.AppendAsync(Batches.Append("a") with { RequiredAcks = 2 });
        Assert.Equal(ErrorCode.InvalidRequiredAcks, odd.Results[0].Error);
    }

    [Fact]
    public async Task A_corrupt_batch_is_refused_and_the_others_are_kept()
    {
        IPartitionGrain partition = await CreateAsync("corrupt");
        byte[] damaged = Batches.Of("bad").ToArray();
        damaged[^1] ^= 1;
        PartitionAppendResult response = await partition.AppendAsync(
            new PartitionAppend(-1, 5_000, [Batches.Of("a"), damaged, Batches.Of("b")]));
        Assert.Equal([ErrorCode.None, ErrorCode.CorruptMessage, ErrorCode.None], response.Results.Select(result => result.Error));
        Assert.Equal([(0L, "a"), (1L, "b")], Batches.Read(await partition.FetchAsync(Batches.Fetch(0))));
    }

    [Fact]
    public async Task A_second_activation_takes_the_log_and_raises_the_epoch()
    {
        IPartitionGrain partition = await CreateAsync("fenced");
        await partition.AppendAsync(Batches.Append("a"));
        int before = (await partition.DescribeAsync()).LeaderEpoch;
        Task<PartitionReadResult> waiting = partition.FetchAsync(Batches.Fetch(1, waitMs: PartitionRead.MaxWaitLimitMs));
        Assert.Equal(before, (await partition.DescribeAsync()).LeaderEpoch);

        // What a second activation in this process does, while the first still believes that it leads.
        LocalPartitions local = _cluster.Services(1).GetRequiredService<LocalPartitions>();
        TopicDescription topic = (await _cluster.Topic("fenced").DescribeAsync())!;
        PartitionClaim other = local.TryClaim(new TopicPartition("fenced", 0), topic.Id, before + 1, () => { })!;
        Assert.True(await other.OpenAsync(TopicConfig.Resolve(topic.Configs, BrokerConfig.Default), TestTimeout.Token));
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await waiting).Error);

        PartitionDescription after = await BrokerCluster.EventuallyAsync(
            partition.DescribeAsync, description => description.LeaderEpoch > before);
        Assert.Equal((before + 1, 1L), (after.LeaderEpoch, after.LogEndOffset));
        await partition.AppendAsync(Batches.Append("b"));
        Assert.Equal([(0L, "a"), (1L, "b")], Batches.Read(await partition.FetchAsync(Batches.Fetch(0))));
        Assert.Equal(new EpochEndResponse(ErrorCode.None, before, 1), await partition.GetEpochEndAsync(-1, before));
        Assert.Equal(new EpochEndResponse(ErrorCode.None, before + 1, 2), await partition.GetEpochEndAsync(-1, before + 1));
    }

    [Fact]
    public async Task An_activation_whose_epoch_was_raised_by_another_before_it_claims_the_log_does_not_lead()
    {
        IPartitionGrain partition = await CreateAsync("overtaken");
        int raised = 0;
        _cluster.Storage.AfterWrite = async (storage, name, grain) =>
        {
            if (name == "partition" && grain == partition.GetGrainId() && Interlocked.Exchange(ref raised, 1) == 0)
            {
                // What another activation does that reads the state just now.
                var state = new GrainState<PartitionLeadership>();
                await storage.ReadStateAsync(name, grain, state);
                state.State!.LeaderEpoch++;
                await storage.WriteStateAsync(name, grain, state);
            }
        };
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await partition.FetchAsync(Batches.Fetch(0))).Error);
        PartitionDescription after = await BrokerCluster.EventuallyAsync(
            partition.DescribeAsync, description => description.Error == ErrorCode.None);
        Assert.Equal(2, after.LeaderEpoch);
    }

    [Fact]
    public async Task A_topic_that_is_deleted_while_another_activation_has_its_log_leaves_no_files()
    {
        IPartitionGrain partition = await CreateAsync("handed-over");
        await partition.AppendAsync(Batches.Append("a"));
        LocalPartitions local = _cluster.Services(1).GetRequiredService<LocalPartitions>();
        TopicDescription topic = (await _cluster.Topic("handed-over").DescribeAsync())!;
        PartitionClaim other = local.TryClaim(new TopicPartition("handed-over", 0), topic.Id, 5, () => { })!;
        Assert.True(await other.OpenAsync(TopicConfig.Resolve(topic.Configs, BrokerConfig.Default), TestTimeout.Token));
        string directory = Path.Combine(_cluster.LogDirectory(1), "handed-over-0");
        Assert.True(Directory.Exists(directory));
        await _cluster.Topic("handed-over").DeleteAsync();
        Assert.False(Directory.Exists(directory));
        Assert.True(other.IsSuperseded);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await other.Log!.AppendAsync([Batches.Of("b")], 5))[0].Error);
        Assert.False(Directory.Exists(directory));
    }

    [Fact]
    public async Task A_deletion_that_comes_after_the_topic_was_created_again_deletes_nothing()
    {
        TopicDescription first = await _cluster.CreateTopicAsync("late-deletion");
        await _cluster.Topic("late-deletion").DeleteAsync();
        IPartitionGrain partition = await CreateAsync("late-deletion");
        Assert.Equal(ErrorCode.None, (await partition.AppendAsync(Batches.Append("kept"))).Results[0].Error);
        int epoch = (await partition.DescribeAsync()).LeaderEpoch;

        // What an activation of the topic does that is declared dead in the middle of the deletion and goes on with it.
        await partition.DeleteAsync(first.Id);

        PartitionDescription after = await BrokerCluster.EventuallyAsync(
            partition.DescribeAsync, description => description.Error == ErrorCode.None);
        Assert.InRange(after.LeaderEpoch, epoch, epoch + 1);
        Assert.Equal([(0L, "kept")], Batches.Read(await partition.FetchAsync(Batches.Fetch(0))));
    }

    [Fact]
    public async Task A_deletion_that_is_overtaken_by_the_next_topics_first_leader_leaves_its_state()
    {
        IPartitionGrain partition = await CreateAsync("overtaken-deletion");
        await partition.AppendAsync(Batches.Append("a"));
        var next = new PartitionLeadership { LeaderEpoch = 7, Leader = 1, Replicas = [1], Isr = [1], TopicId = Guid.NewGuid() };
        var found = new GrainState<PartitionLeadership>();
        int written = 0;
        IGrainStorage? metadata = null;
        _cluster.Storage.BeforeClear = async (storage, name, grain) =>
        {
            if (name == "partition" && grain == partition.GetGrainId() && Interlocked.Exchange(ref written, 1) == 0)
            {
                metadata = storage;
                var state = new GrainState<PartitionLeadership>();
                await storage.ReadStateAsync(name, grain, state);
                state.State = next;
                await storage.WriteStateAsync(name, grain, state);
            }
        };
        await _cluster.Topic("overtaken-deletion").DeleteAsync();
        await metadata!.ReadStateAsync("partition", partition.GetGrainId(), found);
        Assert.True(found.RecordExists);
        Assert.Equal((next.TopicId, 7), (found.State!.TopicId, found.State.LeaderEpoch));
    }

    [Fact]
    public async Task Files_of_a_deleted_topic_go_although_its_metadata_has_gone_before()
    {
        TopicDescription topic = await _cluster.CreateTopicAsync("half-deleted");
        LocalPartitions local = _cluster.Services(1).GetRequiredService<LocalPartitions>();
        PartitionClaim open = local.TryClaim(new TopicPartition("half-deleted", 0), topic.Id, 0, () => { })!;
        Assert.True(await open.OpenAsync(TopicConfig.Resolve(topic.Configs, BrokerConfig.Default), TestTimeout.Token));
        await open.Log!.AppendAsync([Batches.Of("a")], 0);
        await open.CloseAsync();
        string directory = Path.Combine(_cluster.LogDirectory(1), "half-deleted-0");
        Assert.True(Directory.Exists(directory));
        await _cluster.Topic("half-deleted").DeleteAsync();
        Assert.False(Directory.Exists(directory));
    }

    private async Task<IPartitionGrain> CreateAsync(string topic)
    {
        await _cluster.CreateTopicAsync(topic);
        return _cluster.Partition(topic, 0);
    }
}
