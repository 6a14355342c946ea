using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

public sealed class FetchTests
{
    [Fact]
    public async Task What_is_there_is_answered_at_once()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        byte[] batch = Messages.Batch("a", "b");
        RecordBatches.SetPartitionLeaderEpoch(batch, 5); // As the leader does.
        kafka.Cluster.Partition("topic", 1).Put(batch);
        Protocol.FetchResponse response = await kafka.Connect().CallAsync<Protocol.FetchResponse>(
            Messages.Fetch("topic", [(0, 0), (1, 0)]), 12);
        Protocol.FetchResponse.PartitionData[] partitions = response.Responses.Single().Partitions;
        Assert.Equal(0, partitions[0].Records.Length);
        Assert.Equal(batch, partitions[1].Records.ToMemory().ToArray());
        Assert.Equal((2L, 2L), (partitions[1].HighWatermark, partitions[1].LastStableOffset));
        Assert.Empty(kafka.Cluster.Partition("topic", 0).Waits);
    }

    [Fact]
    public async Task An_empty_fetch_ends_at_its_time_and_its_waiting_call_serves_the_next_ones()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        TestConnection connection = kafka.Connect();
        for (int i = 0; i < 3; i++)
        {
            await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 500), 11);
            await kafka.Time.WaitForArmedTimersAsync(1);
            kafka.Time.Advance(TimeSpan.FromMilliseconds(500));
            (_, Protocol.FetchResponse empty) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
            Protocol.FetchResponse.PartitionData none = empty.Responses[0].Partitions[0];
            Assert.Equal((ErrorCode.None, 0), (none.ErrorCode, none.Records.Length));
        }

        // One read and one waiting call, for all three.
        Assert.Single(partition.Fetches);
        Assert.Equal([OffsetWatches.CallWaitMs], partition.Waits.Select(wait => wait.MaxWaitMs));

        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 500), 11);
        await kafka.Time.WaitForArmedTimersAsync(1);
        partition.Put(Messages.Batch("x"));
        (_, Protocol.FetchResponse full) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        Assert.NotEqual(0, full.Responses[0].Partitions[0].Records.Length);
        Assert.Equal((2, 1), (partition.Fetches.Count, partition.Waits.Count));
    }

    [Fact]
    public async Task A_timer_that_is_early_by_the_clock_ends_the_wait_nevertheless()
    {
        await using var kafka = new KafkaHarness(clock: time => new EarlyTimers(time));
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 500), 11);
        await kafka.Time.WaitForArmedTimersAsync(1);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(500) - EarlyTimers.Early);
        (_, Protocol.FetchResponse empty) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        Assert.Equal(0, empty.Responses[0].Partitions[0].Records.Length);
    }

    [Fact]
    public async Task A_seek_asks_at_the_new_position_while_the_old_call_still_waits()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Put(Messages.Batch("a"));
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 1)]), 11);
        await kafka.Time.WaitForArmedTimersAsync(1);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(500));
        await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        Protocol.FetchResponse sought = await connection.CallAsync<Protocol.FetchResponse>(Messages.Fetch("topic", [(0, 0)]), 11);
        Assert.NotEqual(0, sought.Responses[0].Partitions[0].Records.Length);
        Assert.Equal(1, partition.RunningWaits);
    }

    [Fact]
    public async Task A_fetch_waits_for_its_minimum_of_bytes()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        byte[] batch = Messages.Batch("abc");
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 60_000, minBytes: batch.Length * 2), 11);
        await partition.WhenAsync(p => p.RunningWaits == 1);
        partition.Put(batch);
        await partition.WhenAsync(p => p.RunningWaits == 1 && p.Waits[^1].AfterOffset == 1);
        Assert.False(connection.HasResponse());
        partition.Put(batch);
        (_, Protocol.FetchResponse response) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        Assert.Equal(batch.Length * 2, response.Responses[0].Partitions[0].Records.Length);
    }

    [Fact]
    public async Task A_fetch_reads_nothing_before_its_minimum_of_bytes_is_there_and_then_once()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        byte[] batch = Messages.Batch("abc");
        partition.Put(batch);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(
            Messages.Fetch("topic", [(0, 0)], maxWaitMs: 60_000, minBytes: batch.Length * 2, maxBytes: (batch.Length * 2) + 10), 11);
        await partition.WhenAsync(p => p.RunningWaits == 1);
        Assert.Equal([0], partition.FetchedBytes);
        partition.Put(batch);
        (_, Protocol.FetchResponse response) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        Assert.Equal(batch.Length * 2, response.Responses[0].Partitions[0].Records.Length);
        Assert.Equal([0, batch.Length * 2], partition.FetchedBytes);
        Assert.Equal([0L, 1L], partition.Waits.Select(wait => wait.AfterOffset));
    }

    [Fact]
    public async Task What_is_less_than_the_minimum_is_read_when_the_time_is_up()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        byte[] batch = Messages.Batch("abc");
        partition.Put(batch);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0), (1, 0)], maxWaitMs: 500, minBytes: batch.Length * 2), 11);
        await partition.WhenAsync(p => p.RunningWaits == 1);
        await kafka.Cluster.Partition("topic", 1).WhenAsync(p => p.RunningWaits == 1);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(500));
        (_, Protocol.FetchResponse response) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        Assert.Equal([batch.Length, 0], response.Responses[0].Partitions.Select(p => p.Records.Length));

        // Of the other partition nothing is asked that is known already.
        Assert.Equal((2, 1), (partition.Fetches.Count, kafka.Cluster.Partition("topic", 1).Fetches.Count));
    }

    [Fact]
    public async Task A_minimum_that_one_partition_meets_alone_does_not_hide_what_the_others_have()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 3);
        byte[] small = Messages.Batch("s");
        byte[] large = Messages.Batch(new string('l', 500));
        kafka.Cluster.Partition("topic", 0).Put(small);
        kafka.Cluster.Partition("topic", 1).Put(large);
        Protocol.FetchResponse response = await kafka.Connect().CallAsync<Protocol.FetchResponse>(
            Messages.Fetch("topic", [(0, 0), (1, 0), (2, 0)], maxWaitMs: 60_000, minBytes: large.Length), 11);
        Assert.Equal([small.Length, large.Length, 0], response.Responses[0].Partitions.Select(partition => partition.Records.Length));
        Assert.Equal([0L, small.Length], kafka.Cluster.Partition("topic", 0).FetchedBytes);
    }

    [Fact]
    public async Task An_append_wakes_only_the_fetch_that_waits_for_its_partition()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        InMemoryPartition first = kafka.Cluster.Partition("topic", 0);
        InMemoryPartition second = kafka.Cluster.Partition("topic", 1);
        (TestConnection connection, TestConnection another) = (kafka.Connect(), kafka.Connect());
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 60_000), 11);
        await another.SendAsync(Messages.Fetch("topic", [(1, 0)], maxWaitMs: 60_000), 11);
        await first.WhenAsync(p => p.RunningWaits == 1);
        await second.WhenAsync(p => p.RunningWaits == 1);
        first.Put(Messages.Batch("x"));
        (_, Protocol.FetchResponse response) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        Assert.NotEqual(0, response.Responses[0].Partitions[0].Records.Length);
        Assert.Equal((1, 1), (second.Fetches.Count, second.Waits.Count));
        second.Put(Messages.Batch("y"));
        await another.ReceiveAsync<Protocol.FetchResponse>(11);
    }

    [Fact]
    public async Task An_error_of_a_waiting_call_ends_the_fetch_at_once()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        TestConnection connection = kafka.Connect();
        foreach (bool fails in new[] { true, false })
        {
            (partition.Failure, partition.FetchError) = (null, ErrorCode.None);
            await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 60_000), 11);
            await partition.WhenAsync(p => p.RunningWaits == 1);
            partition.Failure = fails ? new TimeoutException() : null;
            partition.FetchError = ErrorCode.NotLeaderOrFollower;
            partition.EndWaits();
            (_, Protocol.FetchResponse response) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
            Assert.Equal(ErrorCode.NotLeaderOrFollower, response.Responses[0].Partitions[0].ErrorCode);
        }
    }

    [Fact]
    public async Task A_partition_counts_only_up_to_its_share()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        InMemoryPartition full = kafka.Cluster.Partition("topic", 0);
        InMemoryPartition other = kafka.Cluster.Partition("topic", 1);
        byte[] batch = Messages.Batch("abc");
        full.Put(batch);
        full.Put(batch);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(
            Messages.Fetch("topic", [(0, 0), (1, 0)], maxWaitMs: 500, minBytes: batch.Length * 2, partitionMaxBytes: batch.Length + 1), 11);

        // What is there already is counted up to the partition's share; more than that would not count.
        await full.WhenAsync(p => p.RunningWaits == 1);
        await other.WhenAsync(p => p.RunningWaits == 1);
        other.Put(batch);
        (_, Protocol.FetchResponse response) = await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        Assert.All(response.Responses[0].Partitions, partition => Assert.Equal(batch.Length, partition.Records.Length));
        Assert.Equal([0, batch.Length], full.FetchedBytes);
        Assert.Equal([0L, 2L], full.Waits.Select(wait => wait.AfterOffset));
    }

    [Fact]
    public async Task Only_the_first_partition_that_has_something_is_asked_for_a_batch_above_the_limits()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 4);
        InMemoryPartition[] partitions = [.. Enumerable.Range(0, 4).Select(p => kafka.Cluster.Partition("topic", p))];
        byte[] small = Messages.Batch("s");
        byte[] large = Messages.Batch(new string('l', 500));
        partitions[1].Put(large);
        partitions[2].Put(large);
        partitions[3].Put(small);
        TestConnection connection = kafka.Connect();
        Protocol.FetchResponse response = await connection.CallAsync<Protocol.FetchResponse>(
            Messages.Fetch("topic", [(0, 0), (1, 0), (2, 0), (3, 0)], partitionMaxBytes: small.Length), 11);
        Assert.Equal([0, large.Length, 0, small.Length], response.Responses[0].Partitions.Select(partition => partition.Records.Length));
        Assert.Equal(
            [[true], [false, true], [false], [false]],
            partitions.Select(partition => partition.Fetches.Select(fetch => fetch.MinOneBatch)));
    }

    [Fact]
    public async Task A_waiting_call_that_ended_empty_is_begun_anew()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: 60_000), 11);
        await partition.WhenAsync(p => p.RunningWaits == 1);
        partition.EndWaits();
        await partition.WhenAsync(p => p.Waits.Count == 2 && p.RunningWaits == 1);
        partition.Put(Messages.Batch("x"));
        Assert.NotEqual(0, (await connection.ReceiveAsync<Protocol.FetchResponse>(11)).Response.Responses[0].Partitions[0].Records.Length);
    }

    [Fact]
    public async Task A_waiting_call_that_is_lost_is_given_up()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)]), 11);
        await partition.WhenAsync(p => p.RunningWaits == 1);
        await kafka.Time.WaitForArmedTimersAsync(1);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(OffsetWatches.CallWaitMs + 2_000));
        await connection.ReceiveAsync<Protocol.FetchResponse>(11);
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)]), 11);
        await partition.WhenAsync(p => p.RunningWaits == 2);
        Assert.Equal((2, 2), (partition.Fetches.Count, partition.Waits.Count));
    }

    [Fact]
    public async Task The_end_of_the_connection_ends_the_wait()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], maxWaitMs: int.MaxValue), 11);
        await kafka.Cluster.Partition("topic", 0).WhenAsync(p => p.RunningWaits == 1);
        await connection.CloseAsync();
        await connection.Serving;
        Assert.Equal(0, kafka.Time.ArmedTimers);
    }

    [Fact]
    public async Task A_response_stays_within_its_bytes_but_for_one_batch()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 3);
        byte[] batch = Messages.Batch(new string('x', 1_000));
        for (int p = 0; p < 3; p++)
        {
            kafka.Cluster.Partition("topic", p).Put(batch);
            kafka.Cluster.Partition("topic", p).Put(batch);
        }

        TestConnection connection = kafka.Connect();
        (int, long)[] all = [(0, 0), (1, 0), (2, 0)];
        async Task<string> Sizes(int maxBytes, int partitionMaxBytes)
        {
            Protocol.FetchResponse response = await connection.CallAsync<Protocol.FetchResponse>(
                Messages.Fetch("topic", all, maxBytes: maxBytes, partitionMaxBytes: partitionMaxBytes), 11);
            return string.Join(',', response.Responses[0].Partitions.Select(partition => partition.Records.Length / batch.Length));
        }

        Assert.Equal("2,2,2", await Sizes(1_000_000, 1_000_000));
        Assert.Equal("1,1,1", await Sizes(1_000_000, batch.Length + 10));
        Assert.Equal("1,0,0", await Sizes(10, 1_000_000));
        Assert.Equal("2,1,0", await Sizes((batch.Length * 3) + 10, 1_000_000));
        Assert.Equal("1,0,0", await Sizes(1_000_000, 10));
    }

    [Fact]
    public async Task Errors_are_told_at_once_each_for_its_partition()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        kafka.Cluster.Partition("topic", 1).FetchError = ErrorCode.OffsetOutOfRange;
        TestConnection connection = kafka.Connect();
        Protocol.FetchResponse response = await connection.CallAsync<Protocol.FetchResponse>(
            Messages.Fetch("topic", [(0, 0), (1, 9), (7, 0)]), 11);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.OffsetOutOfRange, ErrorCode.UnknownTopicOrPartition],
            response.Responses[0].Partitions.Select(partition => partition.ErrorCode));
        Protocol.FetchResponse missing = await connection.CallAsync<Protocol.FetchResponse>(Messages.Fetch("missing", [(0, 0)]), 11);
        Assert.Equal(ErrorCode.UnknownTopicOrPartition, missing.Responses[0].Partitions[0].ErrorCode);
    }

    /// <remarks>After a timeout or a missing leader the poll of Java's consumer throws an exception.</remarks>
    [Fact]
    public async Task A_failed_call_becomes_the_code_that_makes_consumers_try_again()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Partition("topic", 0).Failure = new TimeoutException("late");
        Assert.Equal(ErrorCode.NotLeaderOrFollower, await FetchErrorAsync(kafka, "topic"));
        kafka.Cluster.Topic("lost").Failure = new TimeoutException("late");
        Assert.Equal(ErrorCode.NotLeaderOrFollower, await FetchErrorAsync(kafka, "lost"));
        kafka.Cluster.Topic("refused").Failure = new ArusException(ErrorCode.RequestTimedOut, "late");
        Assert.Equal(ErrorCode.NotLeaderOrFollower, await FetchErrorAsync(kafka, "refused"));
    }

    [Theory]
    [InlineData(ErrorCode.LeaderNotAvailable, ErrorCode.NotLeaderOrFollower)]
    [InlineData(ErrorCode.RequestTimedOut, ErrorCode.NotLeaderOrFollower)]
    [InlineData(ErrorCode.KafkaStorageError, ErrorCode.KafkaStorageError)]
    [InlineData(ErrorCode.OffsetOutOfRange, ErrorCode.OffsetOutOfRange)]
    public async Task A_refusal_of_the_partition_becomes_a_code_that_consumers_know(ErrorCode refusal, ErrorCode code)
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Partition("topic", 0).FetchError = refusal;
        Assert.Equal(code, await FetchErrorAsync(kafka, "topic"));
    }

    [Fact]
    public async Task Topic_ids_stand_for_names_since_version_13()
    {
        await using var kafka = new KafkaHarness();
        Guid id = kafka.Cluster.AddTopic("topic", 1).Id;
        kafka.Cluster.Partition("topic", 0).Put(Messages.Batch("a"));
        TestConnection connection = kafka.Connect();
        Protocol.FetchRequest request = Messages.Fetch("", [(0, 0)]);
        request.Topics[0].TopicId = id;
        Protocol.FetchResponse found = await connection.CallAsync<Protocol.FetchResponse>(request, 16);
        Assert.Equal(id, found.Responses[0].TopicId);
        Assert.NotEqual(0, found.Responses[0].Partitions[0].Records.Length);

        // Deleted and created anew, the topic has another id.
        kafka.Cluster.AddTopic("topic", 1);
        kafka.Time.Advance(TopicCache.DataMaxAge);
        Protocol.FetchResponse gone = await connection.CallAsync<Protocol.FetchResponse>(request, 16);
        Assert.Equal(ErrorCode.UnknownTopicId, gone.Responses[0].Partitions[0].ErrorCode);
    }

    [Fact]
    public async Task An_isolation_level_that_does_not_exist_fails_the_request()
    {
        await using KafkaHarness kafka = WithBatches(1);
        TestConnection connection = kafka.Connect();
        foreach (sbyte level in new sbyte[] { 2, -1 })
        {
            Protocol.FetchRequest request = Messages.Fetch("topic", [(0, 0)]);
            request.IsolationLevel = level;
            Protocol.FetchResponse byName = await connection.CallAsync<Protocol.FetchResponse>(request, 12);
            Assert.Equal(
                (ErrorCode.UnknownServerError, ErrorCode.UnknownServerError),
                (byName.ErrorCode, byName.Responses.Single().Partitions.Single().ErrorCode));
            Protocol.FetchResponse byId = await connection.CallAsync<Protocol.FetchResponse>(request, 16);
            Assert.Equal((ErrorCode.UnknownServerError, 0), (byId.ErrorCode, byId.Responses.Length));
        }
    }

    /// <remarks>As Kafka: under a negative limit of the whole, the first partition alone fails, and the next one gives a batch.</remarks>
    [Fact]
    public async Task A_negative_limit_is_an_error_where_there_is_something_to_read()
    {
        await using KafkaHarness kafka = WithBatches(3);
        int size = Messages.Batch("a").Length;
        TestConnection connection = kafka.Connect();
        Assert.Equal(
            ["UnknownServerError -1", $"None {size}", $"None {size}"], await FetchAsync([(0, 0), (1, 0), (2, 0)], partitionMaxBytes: -1));
        Assert.Equal(["None 0"], await FetchAsync([(0, 1)], partitionMaxBytes: -1));
        Assert.Equal(["UnknownServerError -1", $"None {size}", "None 0"], await FetchAsync([(0, 0), (1, 0), (2, 0)], maxBytes: -1));

        async Task<IEnumerable<string>> FetchAsync((int, long)[] at, int maxBytes = 1_000_000, int partitionMaxBytes = 1_000_000)
        {
            Protocol.FetchRequest request = Messages.Fetch("topic", at, maxWaitMs: 0, maxBytes: maxBytes);
            request.Topics[0].Partitions[0].PartitionMaxBytes = partitionMaxBytes;
            Protocol.FetchResponse response = await connection.CallAsync<Protocol.FetchResponse>(request, 12);
            return response.Responses[0].Partitions.Select(
                part => $"{part.ErrorCode} {(part.ErrorCode == ErrorCode.None ? part.Records.Length : part.HighWatermark)}");
        }
    }

    [Fact]
    public async Task A_broker_that_is_no_replica_is_told_who_leads()
    {
        await using KafkaHarness kafka = WithBatches(1);
        TestConnection connection = kafka.Connect();
        Protocol.FetchRequest request = Messages.Fetch("topic", [(0, 99), (7, 0)]);
        request.ReplicaId = 0;
        Protocol.FetchResponse byName = await connection.CallAsync<Protocol.FetchResponse>(request, 12);
        Assert.Equal(
            [ErrorCode.NotLeaderOrFollower, ErrorCode.UnknownTopicOrPartition],
            byName.Responses[0].Partitions.Select(part => part.ErrorCode));
        request.Topics[0].Partitions[0].CurrentLeaderEpoch = 0;
        byName = await connection.CallAsync<Protocol.FetchResponse>(request, 12);
        Assert.Equal(ErrorCode.UnknownLeaderEpoch, byName.Responses[0].Partitions[0].ErrorCode);
        request.Topics[0].Partitions[0].CurrentLeaderEpoch = -1;
        request.ReplicaId = -1;
        request.ReplicaState = new() { ReplicaId = 42 };
        request.Topics[0].TopicId = kafka.Cluster.Topic("topic").Description!.Id;
        Protocol.FetchResponse byId = await connection.CallAsync<Protocol.FetchResponse>(request, 18);
        Assert.Equal(
            (ErrorCode.NotLeaderOrFollower, 1),
            (byId.Responses[0].Partitions[0].ErrorCode, byId.Responses[0].Partitions[0].CurrentLeader!.LeaderId));
    }

    [Fact]
    public async Task Aborted_transactions_are_told_of_what_was_read()
    {
        await using KafkaHarness kafka = WithBatches(2);
        Assert.True(await TellsAsync(0));
        Assert.True(await TellsAsync(1), "The end of the log.");
        Assert.False(await TellsAsync(0, room: 0), "The other partition takes the room that there is.");
        Assert.False(await TellsAsync(2, lastFetchedEpoch: 0), "Another log was read.");

        async Task<bool> TellsAsync(long offset, int room = 1_000_000, int lastFetchedEpoch = -1)
        {
            Protocol.FetchRequest request = Messages.Fetch("topic", [(1, 0), (0, offset)], maxWaitMs: 0);
            request.IsolationLevel = (sbyte)IsolationLevel.ReadCommitted;
            request.Topics[0].Partitions[1].LastFetchedEpoch = lastFetchedEpoch;
            request.Topics[0].Partitions[1].PartitionMaxBytes = room;
            Protocol.FetchResponse response = await kafka.Connect().CallAsync<Protocol.FetchResponse>(request, 12);
            return response.Responses[0].Partitions[1].AbortedTransactions is not null;
        }
    }

    [Fact]
    public async Task An_offset_out_of_range_is_told_without_offsets_of_the_log()
    {
        await using KafkaHarness kafka = WithBatches(1);
        TestConnection connection = kafka.Connect();
        foreach (long offset in new[] { -1, 2, long.MaxValue, long.MinValue })
        {
            Protocol.FetchRequest request = Messages.Fetch("topic", [(0, offset)]);
            request.IsolationLevel = (sbyte)IsolationLevel.ReadCommitted;
            Protocol.FetchResponse response = await connection.CallAsync<Protocol.FetchResponse>(request, 12);
            Protocol.FetchResponse.PartitionData part = response.Responses[0].Partitions[0];
            Assert.Equal(
                (ErrorCode.OffsetOutOfRange, -1L, -1L, -1L),
                (part.ErrorCode, part.HighWatermark, part.LastStableOffset, part.LogStartOffset));
            Assert.Null(part.AbortedTransactions);
        }
    }

    [Fact]
    public async Task A_last_fetched_epoch_that_is_not_the_log_s_is_told_where_they_diverge()
    {
        await using KafkaHarness kafka = WithBatches(1); // One record, of epoch 5.
        TestConnection connection = kafka.Connect();
        Assert.Equal("None 0 -1 -1", await FetchAsync(offset: 1, lastFetchedEpoch: 5));
        Assert.Equal("None 0 -1 -1", await FetchAsync(offset: 1, lastFetchedEpoch: -2));
        Assert.Equal("None 0 5 1", await FetchAsync(offset: 3, lastFetchedEpoch: 5));
        Assert.Equal("None 0 3 0", await FetchAsync(offset: 1, lastFetchedEpoch: 3));
        Assert.Equal("OffsetOutOfRange 0 -1 -1", await FetchAsync(offset: 1, lastFetchedEpoch: 6));
        Assert.Equal("FencedLeaderEpoch 0 -1 -1", await FetchAsync(offset: 1, lastFetchedEpoch: 6, leaderEpoch: 4));

        async Task<string> FetchAsync(long offset, int lastFetchedEpoch, int leaderEpoch = -1)
        {
            bool diverges = lastFetchedEpoch == 5 && offset > 1; // Then it does not wait.
            Protocol.FetchRequest request = Messages.Fetch("topic", [(0, offset)], maxWaitMs: diverges ? 60_000 : 0);
            request.Topics[0].Partitions[0].LastFetchedEpoch = lastFetchedEpoch;
            request.Topics[0].Partitions[0].CurrentLeaderEpoch = leaderEpoch;
            Protocol.FetchResponse response = await connection.CallAsync<Protocol.FetchResponse>(request, 12);
            Protocol.FetchResponse.PartitionData part = response.Responses[0].Partitions[0];
            return $"{part.ErrorCode} {part.Records.Length} {part.DivergingEpoch?.Epoch ?? -1} {part.DivergingEpoch?.EndOffset ?? -1}";
        }
    }

    [Fact]
    public async Task A_wait_for_another_leader_epoch_does_not_hide_that_the_epoch_is_wrong()
    {
        await using KafkaHarness kafka = WithBatches(1);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 1)]), 12);
        await kafka.Time.WaitForArmedTimersAsync(1);
        kafka.Time.Advance(TimeSpan.FromMilliseconds(500));
        await connection.ReceiveAsync<Protocol.FetchResponse>(12);
        Protocol.FetchRequest request = Messages.Fetch("topic", [(0, 1)]);
        request.Topics[0].Partitions[0].CurrentLeaderEpoch = 9;
        Protocol.FetchResponse response = await connection.CallAsync<Protocol.FetchResponse>(request, 12);
        Assert.Equal(ErrorCode.UnknownLeaderEpoch, response.Responses[0].Partitions[0].ErrorCode);
    }

    /// <remarks>It would ask again at once, and again, until it has looked the topic up.</remarks>
    [Fact]
    public async Task A_partition_that_does_not_exist_does_not_keep_a_client_from_waiting_for_the_others()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0), (7, 0)], maxWaitMs: 60_000), 12);
        await kafka.Cluster.Partition("topic", 0).WhenAsync(partition => partition.RunningWaits == 1);
        kafka.Cluster.Partition("topic", 0).Put(Messages.Batch("a"));
        (_, Protocol.FetchResponse response) = await connection.ReceiveAsync<Protocol.FetchResponse>(12);
        Assert.Equal(
            [ErrorCode.None, ErrorCode.UnknownTopicOrPartition], response.Responses[0].Partitions.Select(part => part.ErrorCode));
    }

    /// <remarks>One call after the other, a thousand partitions would take a thousand times a call's time.</remarks>
    [Fact]
    public async Task Many_partitions_are_asked_together_although_each_could_fill_a_small_response()
    {
        const int Partitions = 1_000;
        await using KafkaHarness kafka = WithBatches(Partitions);
        int size = Messages.Batch("a").Length;
        TestConnection connection = kafka.Connect();
        (int, long)[] all = [.. Enumerable.Range(0, Partitions).Select(partition => (partition, 0L))];
        Protocol.FetchResponse response = await connection.CallAsync<Protocol.FetchResponse>(
            Messages.Fetch("topic", all, maxBytes: 1_000_000, partitionMaxBytes: 1_000_000), 12);
        Assert.All(response.Responses[0].Partitions, partition => Assert.Equal(size, partition.Records.Length));

        // Each round is given the room that the rounds before have left.
        int rounds = Enumerable.Range(0, Partitions)
            .Select(i => kafka.Cluster.Partition("topic", i).Fetches.Single().MaxBytes)
            .Distinct()
            .Count();
        Assert.InRange(rounds, 1, 75);
    }

    private static KafkaHarness WithBatches(int partitions)
    {
        var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", partitions);
        for (int partition = 0; partition < partitions; partition++)
            kafka.Cluster.Partition("topic", partition).Put(Messages.Batch("a"));

        return kafka;
    }

    private static async Task<ErrorCode> FetchErrorAsync(KafkaHarness kafka, string topic)
    {
        Protocol.FetchResponse response = await kafka.Connect().CallAsync<Protocol.FetchResponse>(Messages.Fetch(topic, [(0, 0)]), 11);
        return response.Responses[0].Partitions[0].ErrorCode;
    }

    /// <summary>Timers that go by a coarser clock than the timestamps, as the system's do.</summary>
    private sealed class EarlyTimers(TimeProvider time) : TimeProvider
    {
        public static TimeSpan Early { get; } = TimeSpan.FromMilliseconds(1);

        public override long TimestampFrequency => time.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => time.GetUtcNow();

        public override long GetTimestamp() => time.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            time.CreateTimer(callback, state, dueTime > Early ? dueTime - Early : dueTime, period);
    }
}
