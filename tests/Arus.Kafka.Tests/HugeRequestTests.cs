using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

/// <summary>What a request costs that names far more than any client needs, and one whose client is gone.</summary>
public sealed class HugeRequestTests
{
    [Fact]
    public async Task A_request_with_more_elements_than_allowed_ends_its_connection_with_one_line()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();

        // With the topic one too many.
        await connection.SendAsync(Messages.Fetch("topic", [.. Enumerable.Range(0, 100_000).Select(i => (i, 0L))]), 11);
        Assert.Null(await connection.ReceiveFrameAsync());
        Assert.Contains(
            "100000 elements are more than the 99999 that the arrays of a request may still have", Assert.Single(kafka.Complaints),
            StringComparison.Ordinal);
        Assert.Empty(kafka.Cluster.Partition("topic", 0).Fetches);
    }

    [Fact]
    public async Task A_partition_named_many_times_in_a_fetch_is_served_once_in_its_first_place_and_as_named_last()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 3);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 1);
        partition.Put("a", "b");
        Protocol.FetchRequest request = Messages.Fetch(
            "topic", [(1, 7), (0, 0), .. Enumerable.Repeat((1, 7L), 90_000), (9, 0), (1, 0), (9, 0)], maxWaitMs: 0);
        request.Topics = [.. request.Topics, .. Messages.Fetch("topic", [(1, 0)]).Topics, .. Messages.Fetch("no", [(0, 0), (0, 0)]).Topics];
        Protocol.FetchResponse response = await kafka.Connect().CallAsync<Protocol.FetchResponse>(request, 11);
        Assert.Equal(
            [("topic", 1, ErrorCode.None), ("topic", 0, ErrorCode.None), ("topic", 9, ErrorCode.UnknownTopicOrPartition),
                ("no", 0, ErrorCode.UnknownTopicOrPartition)],
            response.Responses.SelectMany(
                topic => topic.Partitions.Select(partition => (topic.Topic, partition.PartitionIndex, partition.ErrorCode))));
        Assert.NotEqual(0, response.Responses[0].Partitions[0].Records.Length);
        Assert.Equal(0, Assert.Single(partition.Fetches).Offset);
    }

    [Fact]
    public async Task Of_a_partition_named_many_times_in_DeleteRecords_the_last_offset_counts()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Partition("topic", 0).Put("a", "b", "c");
        DeleteRecordsRequest.DeleteRecordsTopic Topic(params long[] offsets) => new()
        {
            Name = "topic",
            Partitions = Array.ConvertAll(offsets, offset => new DeleteRecordsRequest.DeleteRecordsPartition { Offset = offset }),
        };
        Protocol.DeleteRecordsResponse response = await kafka.Connect().CallAsync<Protocol.DeleteRecordsResponse>(
            new DeleteRecordsRequest { Topics = [Topic([.. Enumerable.Repeat(3L, 90_000)]), Topic(2, 1)] }, 2);
        Assert.Equal(
            (0, ErrorCode.None, 1L),
            response.Topics.SelectMany(topic => topic.Partitions).Select(p => (p.PartitionIndex, p.ErrorCode, p.LowWatermark)).Single());
    }

    [Fact]
    public async Task A_partition_named_twice_in_ListOffsets_is_refused_once()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        ListOffsetsRequest.ListOffsetsTopic Topic(string name, params int[] partitions) => new()
        {
            Name = name,
            Partitions = Array.ConvertAll(
                partitions, partition => new ListOffsetsRequest.ListOffsetsPartition { PartitionIndex = partition, Timestamp = -1 }),
        };
        ListOffsetsResponse response = await kafka.Connect().CallAsync<ListOffsetsResponse>(
            new ListOffsetsRequest { ReplicaId = -1, Topics = [Topic("topic", 0, 1), Topic("topic", 1), Topic("no", 3, 3)] }, 7);
        Assert.Equal(
            [("topic", 0, ErrorCode.None, 0), ("topic", 1, ErrorCode.InvalidRequest, -1), ("no", 3, ErrorCode.InvalidRequest, -1)],
            response.Topics.SelectMany(topic => topic.Partitions.Select(p => (topic.Name, p.PartitionIndex, p.ErrorCode, (int)p.Offset))));
    }

    [Fact]
    public async Task A_topic_named_twice_in_Metadata_is_described_once()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        MetadataResponse response =
            await kafka.Connect().CallAsync<MetadataResponse>(Messages.Metadata([.. Enumerable.Repeat("topic", 50_000), "other"]), 9);
        Assert.Equal(["topic", "other"], response.Topics.Select(topic => topic.Name));
    }

    [Fact]
    public async Task A_fetch_ends_with_the_connection_that_asked()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 100);
        TestConnection connection = kafka.Connect();
        CancellationToken gone = Assert.Single(kafka.Get<ConnectionRegistry>().Snapshot()).Gone;
        kafka.Cluster.Partition("topic", 0).RefuseFetch = _ =>
        {
            connection.OnClosed();
            Assert.True(gone.WaitHandle.WaitOne(TestTimeout.Value));
            return ErrorCode.None;
        };

        // Each partition may fill the response, so that one is read after the other.
        await connection.SendAsync(
            Messages.Fetch("topic", [.. Enumerable.Range(0, 100).Select(i => (i, 0L))], maxBytes: 1_000, partitionMaxBytes: 1_000), 11);
        await kafka.Cluster.Partition("topic", 0).WhenAsync(p => p.Fetches.Count == 1);
        await connection.CloseAsync();
        await connection.Serving;
        Assert.All(Enumerable.Range(1, 99), i => Assert.Empty(kafka.Cluster.Partition("topic", i).Fetches));
        Assert.Empty(kafka.Complaints);
    }

    [Fact]
    public async Task Grain_calls_that_nobody_waits_for_any_more_do_not_begin()
    {
        using var gone = new CancellationTokenSource();
        (int calls, int late, bool isGone) = (0, 0, false);
        Task<int[]> mapping = GrainCalls.MapAsync(
            [.. Enumerable.Range(0, 100_000)],
            async i =>
            {
                if (Volatile.Read(ref isGone))
                {
                    Interlocked.Increment(ref late);
                }
                else if (Interlocked.Increment(ref calls) == 1_000)
                {
                    await gone.CancelAsync();
                    Volatile.Write(ref isGone, true);
                }

                await Task.Yield();
                return i;
            },
            gone.Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => mapping);
        Assert.InRange(late, 0, GrainCalls.MaxAtOnce - 1); // Those that began at that moment.
    }
}
