using Arus.Grains;
using Arus.Testing;

namespace Arus.Kafka.Tests;

public sealed class PartitionAppenderTests
{
    private readonly InMemoryPartition _partition = new();
    private readonly ManualTimeProvider _time = new();
    private readonly List<(ErrorCode Error, Exception? Failure)> _faults = [];
    private readonly Owner _owner = new();

    [Fact]
    public async Task Entries_gather_while_a_call_is_in_flight()
    {
        PartitionAppender appender = Create();
        _partition.Hold();
        for (int i = 0; i < 5; i++)
            Assert.True(appender.EnqueueAsync(Append(i)).IsCompleted);

        _partition.Release();
        await _owner.WhenAsync(5);
        Assert.Equal([1, 4], _partition.Appends.Select(call => call.Entries.Count));
        Assert.Equal([0L, 1, 2, 3, 4], _owner.Results.OrderBy(pair => pair.Key).Select(pair => pair.Value.BaseOffset));
        Assert.True(appender.IsIdle);
    }

    [Fact]
    public async Task A_call_has_one_kind_of_acks()
    {
        PartitionAppender appender = Create();
        _partition.Hold();
        short[] acks = [-1, -1, -1, 1, 1, -1];
        for (int i = 0; i < acks.Length; i++)
            await appender.EnqueueAsync(Append(i, acks[i]));

        _partition.Release();
        await _owner.WhenAsync(acks.Length);
        Assert.Equal([(-1, 1), (-1, 2), (1, 2), (-1, 1)], _partition.Appends.Select(call => ((int)call.RequiredAcks, call.Entries.Count)));
    }

    [Fact]
    public async Task A_call_has_a_bounded_number_of_entries_and_bytes()
    {
        PartitionAppender appender = Create(long.MaxValue);
        _partition.Hold();
        int entries = PartitionAppender.MaxEntriesPerCall + 10;
        for (int i = 0; i < entries; i++)
            await appender.EnqueueAsync(Append(i));

        byte[] large = Messages.Batch(new string('x', PartitionAppender.MaxBytesPerCall / 2));
        for (int i = 0; i < 3; i++)
            await appender.EnqueueAsync(new QueuedAppend(_owner, new(0, entries + i), large, -1, 1_000, Guid.Empty));

        _partition.Release();
        await _owner.WhenAsync(entries + 3);
        Assert.Equal([1, PartitionAppender.MaxEntriesPerCall, 9 + 1, 1, 1], _partition.Appends.Select(call => call.Entries.Count));
    }

    [Fact]
    public async Task A_full_queue_makes_its_callers_wait_in_order()
    {
        byte[] batch = Messages.Batch("x");
        PartitionAppender appender = Create(batch.Length * 2);
        _partition.Hold();
        Assert.True(appender.EnqueueAsync(Append(0)).IsCompleted);
        Assert.True(appender.EnqueueAsync(Append(1)).IsCompleted);
        Assert.True(appender.EnqueueAsync(Append(2)).IsCompleted);
        Task third = appender.EnqueueAsync(Append(3)).AsTask();
        Task fourth = appender.EnqueueAsync(Append(4)).AsTask();
        Assert.False(third.IsCompleted);
        Assert.False(appender.IsIdle);
        _partition.Release();
        await third;
        await fourth;
        await _owner.WhenAsync(5);
        Assert.Equal([0L, 1, 2, 3, 4], _owner.Results.OrderBy(pair => pair.Key).Select(pair => pair.Value.BaseOffset));
    }

    [Fact]
    public async Task A_failed_call_fails_its_entries_and_the_next_goes_on()
    {
        PartitionAppender appender = Create();
        _partition.Failure = new TimeoutException("late");
        await appender.EnqueueAsync(Append(0));
        await _owner.WhenAsync(1);
        Assert.Equal((ErrorCode.RequestTimedOut, "late"), (_owner.Results[0].Error, _owner.Results[0].Message));
        Assert.True(_owner.MemoryInUse.Contains(0), "The grain may still read it.");
        Assert.Equal(ErrorCode.RequestTimedOut, Assert.Single(_faults).Error);
        _partition.Failure = null;
        await appender.EnqueueAsync(Append(1));
        await _owner.WhenAsync(2);
        Assert.Equal(ErrorCode.None, _owner.Results[1].Error);
    }

    [Fact]
    public async Task A_result_that_says_that_the_partition_moved_is_reported()
    {
        PartitionAppender appender = Create();
        _partition.Refuse = () => ErrorCode.NotLeaderOrFollower;
        await appender.EnqueueAsync(Append(0));
        await _owner.WhenAsync(1);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, _owner.Results[0].Error);
        Assert.Equal((ErrorCode.NotLeaderOrFollower, null), Assert.Single(_faults));
    }

    [Fact]
    public async Task A_leader_here_gets_further_appends_while_earlier_ones_wait_for_the_replicas()
    {
        var leaders = new Leaders();
        PartitionAppender appender = Create(leaders: leaders);
        int few = PartitionAppender.MaxCallsInFlight;
        for (int i = 0; i < few + 3; i++)
            await appender.EnqueueAsync(Append(i));

        Assert.Equal(Enumerable.Repeat(1, few), leaders.Calls.Select(call => call.Request.Entries.Count));
        Assert.False(appender.IsIdle);

        // The answer to a later one is not held back, and makes room for what has gathered.
        leaders.Answer(1, 1);
        await _owner.WhenAsync(1);
        Assert.Equal(1, _owner.Results[1].BaseOffset);
        Assert.Equal(3, leaders.Calls[few].Request.Entries.Count);
        for (int call = few; call >= 0; call--)
            leaders.Answer(call, call);

        await _owner.WhenAsync(few + 3);
        Assert.True(appender.IsIdle);
        Assert.Empty(_partition.Appends);
    }

    [Fact]
    public async Task The_grain_of_a_leader_elsewhere_is_called_when_the_leader_here_has_answered()
    {
        var leaders = new Leaders();
        PartitionAppender appender = Create(leaders: leaders);
        await appender.EnqueueAsync(Append(0));
        leaders.Leads = false;
        await appender.EnqueueAsync(Append(1));
        await appender.EnqueueAsync(Append(2));
        Assert.Empty(_partition.Appends);
        leaders.Answer(0, 0);
        await _owner.WhenAsync(3);
        Assert.Single(leaders.Calls);
        Assert.Equal([1, 1], _partition.Appends.Select(call => call.Entries.Count));

        // And back: of the grain one call is in flight.
        _partition.Hold();
        await appender.EnqueueAsync(Append(3));
        leaders.Leads = true;
        await appender.EnqueueAsync(Append(4));
        Assert.Single(leaders.Calls);
        _partition.Release();
        await _owner.WhenAsync(4);
        leaders.Answer(1, 0);
        await _owner.WhenAsync(5);
        Assert.True(appender.IsIdle);
    }

    [Fact]
    public async Task A_leader_here_that_does_not_answer_fails_the_append_in_the_end()
    {
        var leaders = new Leaders();
        PartitionAppender appender = Create(leaders: leaders);
        await appender.EnqueueAsync(Append(0));
        _time.Advance(TimeSpan.FromSeconds(32));
        await _owner.WhenAsync(1);
        Assert.Equal(ErrorCode.RequestTimedOut, _owner.Results[0].Error);
        Assert.True(_owner.MemoryInUse.Contains(0), "The log may still read it.");
        Assert.True(appender.IsIdle);
    }

    [Theory]
    [InlineData(typeof(TimeoutException), ErrorCode.RequestTimedOut)]
    [InlineData(typeof(OperationCanceledException), ErrorCode.RequestTimedOut)]
    [InlineData(typeof(InvalidOperationException), ErrorCode.UnknownServerError)]
    [InlineData(typeof(Orleans.Runtime.OrleansException), ErrorCode.NotLeaderOrFollower)]
    public void Exceptions_become_codes(Type type, ErrorCode code) =>
        Assert.Equal(code, GrainFailure.ToErrorCode((Exception)Activator.CreateInstance(type)!, ApiScope.Partition));

    [Fact]
    public void A_refusal_keeps_its_code_and_groups_get_their_own()
    {
        var refused = new ArusException(ErrorCode.InvalidConfig, "no");
        Assert.Equal(ErrorCode.InvalidConfig, GrainFailure.ToErrorCode(refused, ApiScope.Controller));
        Assert.Equal(ErrorCode.CoordinatorNotAvailable, GrainFailure.ToErrorCode(new TimeoutException(), ApiScope.Coordinator));
        var nonEmpty = new ArusException(ErrorCode.NonEmptyGroup, "no");
        Assert.Equal(ErrorCode.NonEmptyGroup, GrainFailure.ToErrorCode(nonEmpty, ApiScope.Coordinator));
    }

    private PartitionAppender Create(long maxBytes = 1_000_000, ILocalLeaders? leaders = null) => new(
        new TopicPartition("topic", 0), _partition, leaders, maxBytes, _time, (_, error, failure) => _faults.Add((error, failure)));

    private QueuedAppend Append(int part, short acks = -1) => new(_owner, new(0, part), Messages.Batch("x"), acks, 1_000, Guid.Empty);

    /// <summary>A leader in this process that answers when a test asks for it.</summary>
    private sealed class Leaders : ILocalLeaders
    {
        public bool Leads { get; set; } = true;

        public List<(PartitionAppend Request, TaskCompletionSource<PartitionAppendResult> Answer)> Calls { get; } = [];

        public Task<PartitionAppendResult>? TryAppend(TopicPartition partition, PartitionAppend request)
        {
            if (!Leads)
                return null;

            var answer = new TaskCompletionSource<PartitionAppendResult>();
            Calls.Add((request, answer));
            return answer.Task;
        }

        public void Answer(int call, long baseOffset) => Calls[call].Answer.TrySetResult(new PartitionAppendResult(
            0, 0, [.. Enumerable.Range(0, Calls[call].Request.Entries.Count).Select(i => new AppendEntryResult(0, baseOffset + i, -1))]));
    }

    private sealed class Owner : IAppendOwner
    {
        private TaskCompletionSource _some = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Dictionary<int, AppendEntryResult> Results { get; } = [];

        public HashSet<int> MemoryInUse { get; } = [];

        public void Complete(AppendPart part, AppendEntryResult result, long logStartOffset, bool memoryInUse)
        {
            TaskCompletionSource some;
            lock (Results)
            {
                Results.Add(part.Partition, result);
                if (memoryInUse)
                    MemoryInUse.Add(part.Partition);

                some = _some;
                _some = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            some.SetResult();
        }

        public async Task WhenAsync(int count)
        {
            while (true)
            {
                Task some;
                lock (Results)
                {
                    if (Results.Count >= count)
                        return;

                    some = _some.Task;
                }

                await some;
            }
        }
    }
}
