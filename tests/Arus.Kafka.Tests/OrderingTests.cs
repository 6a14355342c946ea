using System.Text;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

public sealed class OrderingTests
{
    [Fact]
    public Task Pipelined_produce_requests_are_appended_in_request_order_one_call_at_a_time() => Seeds.RunAsync(fresh: 1, PipelineAsync);

    private static async Task PipelineAsync(int seed)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 3);
        TestConnection connection = kafka.Connect();
        const int Requests = 300;
        var sent = new Dictionary<int, List<string>> { [0] = [], [1] = [], [2] = [] };
        var random = new Random(seed);
        Task sending = Task.Run(async () =>
        {
            for (int i = 0; i < Requests; i++)
            {
                int partition = random.Next(3);
                sent[partition].Add($"{i}");

                // Small and large requests take different paths through memory.
                string value = i % 7 == 0 ? $"{i}".PadRight(30_000) : $"{i}";
                await connection.SendAsync(Messages.Produce("topic", partition, Messages.Batch(value)), 9);
            }
        });
        for (int i = 1; i <= Requests; i++)
        {
            (int correlation, ProduceResponse response) = await connection.ReceiveAsync<ProduceResponse>(9);
            Assert.Equal(i, correlation);
            Assert.Equal(ErrorCode.None, response.Responses[0].PartitionResponses[0].ErrorCode);
        }

        await sending;
        for (int p = 0; p < 3; p++)
        {
            InMemoryPartition partition = kafka.Cluster.Partition("topic", p);
            Assert.Equal(sent[p], partition.Batches.Select(Value));
            Assert.Equal(1, partition.MostAppendsAtOnce);
        }
    }

    [Fact]
    public async Task What_queues_up_while_a_call_is_in_flight_goes_as_one()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Hold();
        TestConnection first = kafka.Connect();
        TestConnection second = kafka.Connect();
        await first.SendAsync(Messages.Produce("topic", 0, Messages.Batch("0")), 9);
        await partition.WhenAsync(p => p.Appends.Count == 1);
        for (int i = 0; i < 4; i++)
            await first.SendAsync(Messages.Produce("topic", 0, Messages.Batch($"{i}")), 9);

        // Concurrent requests on other connections tell when those before them have been taken.
        await first.SendAsync(Messages.Metadata("topic"), 1);
        await second.CallAsync<MetadataResponse>(Messages.Metadata("other"), 1);
        partition.Release();
        for (int i = 0; i < 5; i++)
            await first.ReceiveAsync<ProduceResponse>(9);

        await first.ReceiveAsync<MetadataResponse>(1);
        Assert.Equal(5, partition.Appends.Sum(append => append.Entries.Count));
        Assert.Equal(1, partition.MostAppendsAtOnce);
        Assert.True(partition.Appends.Count <= 5, "At most one call for each.");
    }

    [Fact]
    public async Task Responses_keep_the_order_of_requests_when_later_ones_are_done_first()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        (InMemoryPartition slow, InMemoryPartition quick) = (kafka.Cluster.Partition("topic", 0), kafka.Cluster.Partition("topic", 1));
        slow.Hold();
        TestConnection connection = kafka.Connect();
        int first = await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        int second = await connection.SendAsync(Messages.Produce("topic", 1, Messages.Batch("x")), 9);
        int metadata = await connection.SendAsync(Messages.Metadata("topic"), 1);
        await quick.WhenAsync(p => p.EndOffset == 1);
        Assert.False(connection.HasResponse());
        slow.Release();
        Assert.Equal(first, (await connection.ReceiveAsync<ProduceResponse>(9)).Correlation);
        Assert.Equal(second, (await connection.ReceiveAsync<ProduceResponse>(9)).Correlation);
        Assert.Equal(metadata, (await connection.ReceiveAsync<MetadataResponse>(1)).Correlation);
    }

    public static TheoryData<ApiKey, short> Reads => new()
    {
        { ApiKey.ListOffsets, 7 }, { ApiKey.Fetch, 11 }, { ApiKey.DeleteRecords, 1 },
    };

    [Theory]
    [MemberData(nameof(Reads))]
    public async Task A_read_finds_what_was_produced_before_it_and_nothing_behind_it(ApiKey api, short version)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Hold();
        TestConnection connection = kafka.Connect();
        IApiMessage read = api switch
        {
            ApiKey.ListOffsets => new ListOffsetsRequest
            {
                ReplicaId = -1, Topics = [new() { Name = "topic", Partitions = [new() { PartitionIndex = 0, Timestamp = -1 }] }],
            },
            ApiKey.Fetch => Messages.Fetch("topic", [(0, 0)], maxWaitMs: 0),
            _ => new DeleteRecordsRequest { Topics = [new() { Name = "topic", Partitions = [new() { PartitionIndex = 0, Offset = -1 }] }] },
        };
        foreach (string value in new[] { "a", "b" })
            await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch(value)), 9);

        await connection.SendAsync(read, version);
        await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch("behind")), 9);
        await partition.WhenAsync(p => p.Appends.Count == 1);
        partition.Release();
        await connection.ReceiveAsync<ProduceResponse>(9);
        await connection.ReceiveAsync<ProduceResponse>(9);
        long end = api switch
        {
            ApiKey.ListOffsets => (await connection.ReceiveAsync<ListOffsetsResponse>(version)).Response.Topics[0].Partitions[0].Offset,
            ApiKey.Fetch => (await connection.ReceiveAsync<FetchResponse>(version)).Response.Responses[0].Partitions[0].HighWatermark,
            _ => (await connection.ReceiveAsync<DeleteRecordsResponse>(version)).Response.Topics[0].Partitions[0].LowWatermark,
        };
        Assert.Equal(2, end);
        await connection.ReceiveAsync<ProduceResponse>(9);
        Assert.Equal(3, partition.EndOffset);
    }

    [Fact]
    public async Task A_request_behind_a_delayed_fetch_waits_for_it_as_in_Kafka()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 60_000), 11);
        await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        await partition.WhenAsync(p => p.RunningWaits == 1);
        Assert.Empty(partition.Appends);
        kafka.Time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(0, (await connection.ReceiveAsync<FetchResponse>(11)).Response.Responses[0].Partitions[0].HighWatermark);
        await connection.ReceiveAsync<ProduceResponse>(9);
        Assert.Single(partition.Batches);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(500)]
    public async Task A_fetch_does_not_believe_a_watch_from_before_the_produce_request_ahead_of_it(int maxWaitMs)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        (InMemoryPartition watched, InMemoryPartition other) = (kafka.Cluster.Partition("topic", 0), kafka.Cluster.Partition("topic", 1));
        other.Put("already there");
        watched.HoldWaits();
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 500), 11);
        await watched.WhenAsync(p => p.RunningWaits == 1);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(500));
        await connection.ReceiveAsync<FetchResponse>(11);

        await connection.CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        FetchResponse fetched =
            await connection.CallAsync<FetchResponse>(Messages.Fetch("topic", [(0, 0), (1, 0)], maxWaitMs: maxWaitMs), 11);
        Assert.All(fetched.Responses[0].Partitions, partition => Assert.NotEqual(0, partition.Records.Length));
    }

    [Fact]
    public async Task A_fetch_that_does_not_wait_does_not_believe_a_watch_at_all()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.HoldWaits();
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 500), 11);
        await partition.WhenAsync(p => p.RunningWaits == 1);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(500));
        await connection.ReceiveAsync<FetchResponse>(11);

        await kafka.Connect().CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        FetchResponse fetched = await connection.CallAsync<FetchResponse>(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 0), 11);
        Assert.NotEqual(0, fetched.Responses[0].Partitions[0].Records.Length);
    }

    [Fact]
    public async Task A_client_that_does_not_read_has_one_request_handled_and_not_all()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Put(new string('x', 200_000));
        TestConnection deaf = kafka.Connect();
        for (int i = 0; i < 20; i++)
            await deaf.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 0), 11);

        await partition.WhenAsync(p => p.Fetches.Count == 1);
        await kafka.Connect().CallAsync<ProduceResponse>(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        Assert.Single(partition.Fetches);
        for (int i = 0; i < 20; i++)
            await deaf.ReceiveAsync<FetchResponse>(11);

        Assert.Equal(20, partition.Fetches.Count);
    }

    [Fact]
    public async Task A_request_that_changes_something_waits_for_those_before_it()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Hold();
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch("x")), 9);
        await connection.SendAsync(new DeleteTopicsRequest { TopicNames = ["topic"], TimeoutMs = 1_000 }, 4);
        await partition.WhenAsync(p => p.Appends.Count == 1);
        Assert.NotNull(kafka.Cluster.Topic("topic").Description);
        partition.Release();
        (_, ProduceResponse response) = await connection.ReceiveAsync<ProduceResponse>(9);
        Assert.Equal(ErrorCode.None, response.Responses[0].PartitionResponses[0].ErrorCode);
        Assert.Equal(ErrorCode.None, (await connection.ReceiveAsync<DeleteTopicsResponse>(4)).Response.Responses[0].ErrorCode);
        Assert.Null(kafka.Cluster.Topic("topic").Description);
    }

    [Fact]
    public async Task Reading_stops_at_the_limit_of_requests_in_flight()
    {
        await using var kafka = new KafkaHarness(options => options with { MaxInFlightRequests = 3 });
        kafka.Cluster.AddTopic("topic", 10);
        TestConnection connection = kafka.Connect();
        for (int i = 0; i < 10; i++)
        {
            kafka.Cluster.Partition("topic", i).Hold();
            await connection.SendAsync(Messages.Produce("topic", i, Messages.Batch("x")), 9);
        }

        await kafka.Cluster.Partition("topic", 2).WhenAsync(p => p.Appends.Count == 1);
        for (int i = 0; i < 10; i++)
        {
            // Each answer makes room for one more request, in order.
            await kafka.Cluster.Partition("topic", i).WhenAsync(p => p.Appends.Count == 1);
            IEnumerable<int> later = Enumerable.Range(Math.Min(i + 3, 10), Math.Max(0, 7 - i));
            Assert.All(later, index => Assert.Empty(kafka.Cluster.Partition("topic", index).Appends));
            kafka.Cluster.Partition("topic", i).Release();
            await connection.ReceiveAsync<ProduceResponse>(9);
        }
    }

    [Fact]
    public async Task Acks_0_gets_no_response_and_keeps_its_place()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch("a"), acks: 0), 9);
        await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch("b"), acks: 0), 9);
        int third = await connection.SendAsync(Messages.Produce("topic", 0, Messages.Batch("c"), acks: 1), 9);
        Assert.Equal(third, (await connection.ReceiveAsync<ProduceResponse>(9)).Correlation);
        Assert.Equal(["a", "b", "c"], kafka.Cluster.Partition("topic", 0).Batches.Select(Value));
        IEnumerable<int> acks = kafka.Cluster.Partition("topic", 0).Appends
            .SelectMany(append => append.Entries.Select(_ => (int)append.RequiredAcks));
        Assert.Equal([0, 0, 1], acks);
    }

    [Fact]
    public async Task Acks_0_that_fails_ends_the_connection()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Produce("missing", 0, Messages.Batch("a"), acks: 0), 9);
        Assert.Null(await connection.ReceiveFrameAsync());
        Assert.Contains("acks=0", Assert.Single(kafka.Complaints), StringComparison.Ordinal);
    }

    private static string Value(byte[] batch)
    {
        return Last(batch);
    }

    private static string Last(byte[] batch)
    {
        ReadOnlySpan<byte> records = batch.AsSpan(RecordBatchHeader.Size);
        int at = 0;
        int Varint(ReadOnlySpan<byte> bytes)
        {
            int value = 0;
            for (int shift = 0; ; shift += 7)
            {
                byte next = bytes[at++];
                value |= (next & 0x7F) << shift;
                if (next < 0x80)
                    return (value >> 1) ^ -(value & 1);
            }
        }

        Varint(records);
        at++;
        Varint(records);
        Varint(records);
        Varint(records);
        int length = Varint(records);
        return Encoding.UTF8.GetString(records.Slice(at, length)).TrimEnd();
    }
}
