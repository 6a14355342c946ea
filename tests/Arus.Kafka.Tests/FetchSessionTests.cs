using System.Diagnostics.Metrics;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;
using FetchRequest = Arus.Protocol.FetchRequest;
using FetchResponse = Arus.Protocol.FetchResponse;

namespace Arus.Kafka.Tests;

/// <summary>Fetch sessions (KIP-227). What is expected was measured with Kafka 4.4.0.</summary>
public sealed class FetchSessionTests
{
    private const short ByName = 12;

    [Fact]
    public async Task An_incremental_fetch_names_only_what_changed_and_is_answered_only_with_what_is_new()
    {
        await using KafkaHarness kafka = WithTopic(3);
        TestConnection connection = kafka.Connect();
        FetchResponse full = await FetchAsync(connection, Open(0, 1, 2));
        Assert.NotEqual(0, full.SessionId);
        Assert.Equal("0+0 1+0 2+0", Describe(full));

        Assert.Equal("", Describe(await FetchAsync(connection, Continue(full.SessionId, 1))));
        byte[] batch = Messages.Batch("a");
        kafka.Cluster.Partition("topic", 1).Put(batch);
        FetchResponse more = await FetchAsync(connection, Continue(full.SessionId, 2));
        Assert.Equal((ErrorCode.None, full.SessionId, $"1+{batch.Length}"), (more.ErrorCode, more.SessionId, Describe(more)));

        // The client has not moved on: it gets them again. When it has, nothing is new.
        Assert.Equal($"1+{batch.Length}", Describe(await FetchAsync(connection, Continue(full.SessionId, 3))));
        Assert.Equal("", Describe(await FetchAsync(connection, Continue(full.SessionId, 4, (1, 1)))));
    }

    [Fact]
    public async Task A_moved_log_start_and_an_error_are_new_and_so_is_the_end_of_the_error()
    {
        await using KafkaHarness kafka = WithTopic(2);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 1);
        partition.Put(Messages.Batch("a"));
        partition.Put(Messages.Batch("b"));
        TestConnection connection = kafka.Connect();
        int session = (await FetchAsync(connection, Open((0, 0), (1, 2)))).SessionId;
        Assert.Equal("", Describe(await FetchAsync(connection, Continue(session, 1))));
        partition.DeleteBefore(1);
        Assert.Equal("1+0", Describe(await FetchAsync(connection, Continue(session, 2))));
        partition.FetchError = ErrorCode.KafkaStorageError;
        Assert.Equal("1!KafkaStorageError", Describe(await FetchAsync(connection, Continue(session, 3))));
        Assert.Equal("1!KafkaStorageError", Describe(await FetchAsync(connection, Continue(session, 4))));
        partition.FetchError = ErrorCode.None;
        Assert.Equal("1+0", Describe(await FetchAsync(connection, Continue(session, 5))));
        Assert.Equal("", Describe(await FetchAsync(connection, Continue(session, 6))));
    }

    [Fact]
    public async Task What_is_forgotten_is_read_no_more_and_what_is_added_is()
    {
        await using KafkaHarness kafka = WithTopic(3);
        kafka.Cluster.AddTopic("other", 1);
        int size = Messages.Batch("a").Length;
        for (int i = 0; i < 3; i++)
            kafka.Cluster.Partition("topic", i).Put(Messages.Batch("a"));

        TestConnection connection = kafka.Connect();
        int session = (await FetchAsync(connection, Open(0, 1))).SessionId;
        FetchRequest change = Continue(session, 1, (2, 0));
        change.ForgottenTopicsData =
            [new() { Topic = "topic", Partitions = [1, 7] }, new() { Topic = "other", Partitions = [0] }];
        Assert.Equal($"0+{size} 2+{size}", Describe(await FetchAsync(connection, change)));
        FetchRequest unknown = Continue(session, 2, (9, 0));
        Assert.Equal($"0+{size} 2+{size} 9!UnknownTopicOrPartition", Describe(await FetchAsync(connection, unknown)));
        Assert.Equal(
            $"0+{size} 2+{size} 9!UnknownTopicOrPartition", Describe(await FetchAsync(connection, Continue(session, 3))));
    }

    [Fact]
    public async Task Epochs_count_the_requests_of_a_session_and_a_wrong_one_changes_nothing()
    {
        await using KafkaHarness kafka = WithTopic(1);
        TestConnection connection = kafka.Connect();
        int session = (await FetchAsync(connection, Open(0))).SessionId;
        foreach (int wrong in new[] { 2, int.MaxValue, -2 })
            Assert.Equal((ErrorCode.InvalidFetchSessionEpoch, 0), await OutcomeAsync(connection, Continue(session, wrong)));

        Assert.Equal((ErrorCode.None, session), await OutcomeAsync(connection, Continue(session, 1)));
        Assert.Equal((ErrorCode.InvalidFetchSessionEpoch, 0), await OutcomeAsync(connection, Continue(session, 1)));
        foreach ((int id, int epoch) in new[] { (0, 1), (0, -2), (session ^ 1, 1) })
            Assert.Equal((ErrorCode.FetchSessionIdNotFound, 0), await OutcomeAsync(connection, Continue(id, epoch)));

        // A full fetch ends the session that it names: with epoch 0 it opens another one, with -1 it does not.
        FetchRequest again = Open(0);
        again.SessionId = session;
        (ErrorCode error, int next) = await OutcomeAsync(connection, again);
        Assert.Equal((ErrorCode.None, false), (error, next == session || next == 0));
        Assert.Equal((ErrorCode.FetchSessionIdNotFound, 0), await OutcomeAsync(connection, Continue(session, 2)));
        Assert.Equal((ErrorCode.None, 0), await OutcomeAsync(connection, Continue(next, -1)));
        Assert.Equal((ErrorCode.FetchSessionIdNotFound, 0), await OutcomeAsync(connection, Continue(next, 1)));
    }

    [Fact]
    public async Task A_session_without_partitions_ends_with_its_next_request()
    {
        await using KafkaHarness kafka = WithTopic(1);
        TestConnection connection = kafka.Connect();
        int session = (await FetchAsync(connection, new FetchRequest { SessionEpoch = 0 })).SessionId;
        Assert.NotEqual(0, session);
        Assert.Equal((ErrorCode.None, 0), await OutcomeAsync(connection, Continue(session, 1)));
        Assert.Equal((ErrorCode.FetchSessionIdNotFound, 0), await OutcomeAsync(connection, Continue(session, 2)));
    }

    [Fact]
    public async Task A_session_by_topic_ids_goes_on_by_topic_ids_and_notices_that_its_topic_is_gone()
    {
        await using KafkaHarness kafka = WithTopic(1);
        TestConnection connection = kafka.Connect();
        FetchRequest open = Open(0);
        open.Topics[0].TopicId = kafka.Cluster.Topic("topic").Description!.Id;
        int session = (await connection.CallAsync<FetchResponse>(open, 18)).SessionId;
        Assert.Equal(ErrorCode.FetchSessionTopicIdError, (await connection.CallAsync<FetchResponse>(Continue(session, 1), 12)).ErrorCode);
        Assert.Equal("", Describe(await connection.CallAsync<FetchResponse>(Continue(session, 1), 18)));

        // An id that never was is UNKNOWN_TOPIC_ID; one whose name another topic has now is inconsistent.
        FetchRequest never = Continue(session, 2, (0, 0));
        never.Topics[0].TopicId = Guid.NewGuid();
        Assert.Equal("0!UnknownTopicId", Describe(await connection.CallAsync<FetchResponse>(never, 18)));
        kafka.Cluster.AddTopic("topic", 1);
        kafka.Time.Advance(TopicCache.DataMaxAge);
        FetchRequest forgets = Continue(session, 3);
        forgets.ForgottenTopicsData = [new() { TopicId = never.Topics[0].TopicId, Partitions = [0] }];
        Assert.Equal("0!InconsistentTopicId", Describe(await connection.CallAsync<FetchResponse>(forgets, 18)));
    }

    [Fact]
    public async Task Under_a_limit_of_bytes_the_partitions_of_a_session_take_turns()
    {
        await using KafkaHarness kafka = WithTopic(4);
        byte[] batch = Messages.Batch(new string('x', 500));
        for (int i = 0; i < 4; i++)
            kafka.Cluster.Partition("topic", i).Put(batch);

        TestConnection connection = kafka.Connect();
        FetchRequest open = Open(0, 1, 2, 3);
        open.MaxBytes = batch.Length;
        int session = (await FetchAsync(connection, open)).SessionId;
        var turns = new List<string>();
        for (int epoch = 1; epoch <= 8; epoch++)
        {
            FetchRequest next = Continue(session, epoch);
            next.MaxBytes = batch.Length;
            turns.Add(Describe(await FetchAsync(connection, next)));
        }

        Assert.Equal(Enumerable.Range(0, 8).Select(turn => $"{turn % 4}+{batch.Length}"), turns);
    }

    [Fact]
    public async Task Sessions_are_bounded_and_evicted_as_in_Kafka()
    {
        await using KafkaHarness kafka = WithTopic(3, options => options with { MaxFetchSessions = 2 });
        using var evictions = new MetricCollector<long>(
            kafka.Get<IMeterFactory>(), KafkaMetrics.MeterName, "arus.kafka.fetch.sessions.evicted");
        using var counts = new MetricCollector<long>(kafka.Get<IMeterFactory>(), KafkaMetrics.MeterName, "arus.kafka.fetch.sessions");
        TestConnection connection = kafka.Connect();
        int small = (await FetchAsync(connection, Open(0))).SessionId;
        int large = (await FetchAsync(connection, Open(0, 1))).SessionId;

        // There is no room while the others are in use or young; who gets no session is answered all the same.
        FetchResponse declined = await FetchAsync(connection, Open(0, 1, 2));
        Assert.Equal((0, "0+0 1+0 2+0"), (declined.SessionId, Describe(declined)));
        kafka.Time.Advance(TimeSpan.FromSeconds(121));
        Assert.Equal((ErrorCode.None, small), await OutcomeAsync(connection, Continue(small, 1)));
        Assert.Equal((ErrorCode.None, large), await OutcomeAsync(connection, Continue(large, 1)));

        // Both are old now and were used just now: a larger one takes the place of the smaller, one of the same size does not.
        Assert.Equal(0, (await FetchAsync(connection, Open(2))).SessionId);
        int largest = (await FetchAsync(connection, Open(0, 1, 2))).SessionId;
        Assert.Equal((ErrorCode.FetchSessionIdNotFound, 0), await OutcomeAsync(connection, Continue(small, 2)));
        Assert.Equal((ErrorCode.None, large), await OutcomeAsync(connection, Continue(large, 2)));

        // What was not used for two minutes goes, however large.
        kafka.Time.Advance(TimeSpan.FromSeconds(121));
        Assert.Equal((ErrorCode.None, large), await OutcomeAsync(connection, Continue(large, 3)));
        Assert.NotEqual(0, (await FetchAsync(connection, Open(0))).SessionId);
        Assert.Equal((ErrorCode.FetchSessionIdNotFound, 0), await OutcomeAsync(connection, Continue(largest, 1)));
        Assert.Equal(2, evictions.GetMeasurementSnapshot().Sum(measurement => measurement.Value));
        Assert.Equal(2, counts.GetMeasurementSnapshot().Sum(measurement => measurement.Value));
    }

    [Fact]
    public async Task The_partitions_of_all_sessions_are_bounded()
    {
        await using KafkaHarness kafka = WithTopic(1);
        FetchSessions sessions = kafka.Get<FetchSessions>();
        var request = new FetchRequest.FetchPartition();
        SessionPartition[] partitions =
            [.. Enumerable.Range(0, FetchSessions.MaxPartitions / 2).Select(i => new SessionPartition(new("topic", default, i), request))];
        int first = sessions.TryOpen(partitions, byTopicId: false);
        Assert.NotEqual(0, sessions.TryOpen(partitions, byTopicId: false));
        Assert.Equal(0, sessions.TryOpen([new SessionPartition(new("topic", default, 0), request)], byTopicId: false));

        // A session cannot grow either; it ends, and its client makes a full fetch.
        Assert.Equal(ErrorCode.FetchSessionIdNotFound, sessions.Begin(Continue(first, 1, (-1, 0)), byTopicId: false).Error);
        Assert.NotEqual(0, sessions.TryOpen([new SessionPartition(new("topic", default, 0), request)], byTopicId: false));
    }

    [Fact]
    public async Task Of_requests_of_one_session_at_once_one_is_answered()
    {
        await using KafkaHarness kafka = WithTopic(20);
        FetchRequest open = Open([.. Enumerable.Range(0, 20)]);
        TestConnection[] connections = [.. Enumerable.Range(0, 4).Select(_ => kafka.Connect())];
        int session = (await FetchAsync(connections[0], open)).SessionId;
        for (int epoch = 1; epoch <= 50; epoch++)
        {
            (ErrorCode Error, int)[] outcomes = await Task.WhenAll(
                connections.Select(connection => Task.Run(() => OutcomeAsync(connection, Continue(session, epoch)))));
            Assert.Equal(1, outcomes.Count(outcome => outcome.Error == ErrorCode.None));
            Assert.Equal(3, outcomes.Count(outcome => outcome.Error == ErrorCode.InvalidFetchSessionEpoch));
        }
    }

    /// <summary>An idle poll of 1,000 partitions, in bytes of frames with their sizes: without a session, and within one.</summary>
    [Theory]
    [InlineData(12, 33_064, 37_030, 55, 21)]
    [InlineData(18, 33_070, 37_040, 51, 21)]
    public async Task An_idle_poll_of_a_thousand_partitions_takes_some_bytes(
        short version, int fullRequest, int fullResponse, int request, int response)
    {
        await using KafkaHarness kafka = WithTopic(1_000);
        TestConnection connection = kafka.Connect();
        FetchRequest full = Open([.. Enumerable.Range(0, 1_000)]);
        full.SessionEpoch = -1;
        full.Topics[0].TopicId = kafka.Cluster.Topic("topic").Description!.Id;
        Assert.Equal((fullRequest, fullResponse), await PollAsync(full));
        full.SessionEpoch = 0;
        int session = (await connection.CallAsync<FetchResponse>(full, version)).SessionId;
        Assert.Equal((request, response), await PollAsync(Continue(session, 1)));

        async Task<(int Request, int Response)> PollAsync(FetchRequest poll)
        {
            await connection.SendAsync(poll, version);
            byte[] answer = (await connection.ReceiveFrameAsync())!;
            return (TestConnection.Encode(poll, version, 1).Length, Frames.SizePrefix + answer.Length);
        }
    }

    private static KafkaHarness WithTopic(int partitions, Func<KafkaListenerOptions, KafkaListenerOptions>? configure = null)
    {
        var kafka = new KafkaHarness(configure);
        kafka.Cluster.AddTopic("topic", partitions);
        return kafka;
    }

    private static FetchRequest Open(params int[] partitions) => Open([.. partitions.Select(partition => (partition, 0L))]);

    private static FetchRequest Open(params (int Partition, long Offset)[] positions)
    {
        FetchRequest request = Messages.Fetch("topic", positions, maxWaitMs: 0);
        request.SessionEpoch = 0;
        return request;
    }

    private static FetchRequest Continue(int session, int epoch, params (int Partition, long Offset)[] changes)
    {
        FetchRequest request = Messages.Fetch("topic", changes, maxWaitMs: 0);
        request.Topics = changes.Length == 0 ? [] : request.Topics;
        (request.SessionId, request.SessionEpoch) = (session, epoch);
        return request;
    }

    private static Task<FetchResponse> FetchAsync(TestConnection connection, FetchRequest request) =>
        connection.CallAsync<FetchResponse>(request, ByName);

    private static async Task<(ErrorCode Error, int SessionId)> OutcomeAsync(TestConnection connection, FetchRequest request)
    {
        FetchResponse response = await FetchAsync(connection, request);
        return (response.ErrorCode, response.SessionId);
    }

    /// <summary>Each partition with its bytes or its error.</summary>
    private static string Describe(FetchResponse response) => string.Join(' ', response.Responses
        .SelectMany(topic => topic.Partitions)
        .Select(partition => partition.ErrorCode == ErrorCode.None
            ? $"{partition.PartitionIndex}+{partition.Records.Length}"
            : $"{partition.PartitionIndex}!{partition.ErrorCode}"));
}
