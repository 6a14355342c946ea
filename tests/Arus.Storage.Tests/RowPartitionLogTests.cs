using Arus.Testing;

namespace Arus.Storage.Tests;

public sealed class RowPartitionLogTests
{
    private static readonly RowLogOptions Small = new()
    {
        Time = new ManualTimeProvider(), MaxRowBytes = 400, MergedRowBytes = 1500, MergeRows = 3, RowsPerCheckpoint = 4, CacheBytes = 500,
        StoreAttempts = 6,
    };

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, 8)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Leaders_that_race_lose_nothing_acknowledged_and_make_one_order(int testCase)
    {
        for (int seed = testCase * 30; seed < (testCase + 1) * 30; seed++)
        {
            try
            {
                OnOwnThread(new Race(seed).Run);
            }
            catch (Exception error)
            {
                throw new InvalidOperationException($"Seed {seed}: {error.Message}", error);
            }
        }
    }

    [Fact]
    public void Records_survive_reopening_merging_and_retention() => OnOwnThread(Records);

    private static void Records()
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store);
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(i, Do(store, log.AppendAsync([Batches.Of($"{i}")], 1).AsTask())[0].BaseOffset);
        }

        Assert.Equal(50, log.SegmentCount);
        LogMaintenanceResult result = Do(store, log.MaintainAsync().AsTask());
        Assert.True(result.SegmentsCompacted > 40, $"{result}");
        Assert.InRange(log.SegmentCount, 1, 10);
        Assert.Equal(log.SegmentCount, store.Rows);
        Check(log);
        Check(Open(store));
        Do(store, Wrap(log.DisposeAsync()));
        log = Open(store, epoch: 2);
        Assert.Equal(50, Do(store, log.AppendAsync([Batches.Of("50")], 2).AsTask())[0].BaseOffset);
        LogDeleteResult deleted = Do(store, log.DeleteRecordsAsync(25).AsTask());
        Assert.Equal(25, deleted.LogStartOffset);
        Assert.Equal(new LogEpochEnd(1, 50), log.EpochEnd(1));
        log = Open(store);
        Assert.Equal((25, 51), (log.LogStartOffset, log.LogEndOffset));
        Do(store, Wrap(log.DeleteAsync()));
        Assert.Equal(0, store.Rows);

        void Check(RowPartitionLog opened) => Assert.Equal(Enumerable.Range(0, 50).Select(i => $"{i}"), Values(store, opened));
    }

    [Fact]
    public void Readers_at_the_end_are_not_sent_back_while_a_leader_claims_the_log() => OnOwnThread(Claim);

    private static void Claim()
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        Do(store, log.AppendAsync([Batches.Of("0")], 1).AsTask());
        Do(store, log.AppendAsync([Batches.Of("1")], 1).AsTask());
        log = Open(store);
        Task<LogAppendResult[]> append = log.AppendAsync([Batches.Of("2")], 2).AsTask();
        var random = new Random(1);
        while (!append.IsCompleted)
        {
            LogReadResult read = Do(store, log.ReadAsync(2, 1000, minOneBatch: true).AsTask());
            Assert.Equal(ErrorCode.None, read.Error);
            Assert.InRange(read.HighWatermark, 2, 3);
            store.Step(random);
        }

        Assert.Equal(3, log.HighWatermark);
    }

    [Fact]
    public void Appends_that_wait_share_a_row_and_duplicates_are_told() => OnOwnThread(Appends);

    private static void Appends()
    {
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1);
        Task<LogAppendResult[]>[] appends =
            [.. new[] { 0, 1, 1, 2, 5 }.Select(sequence => log.AppendAsync([Batches.Idempotent(3, 0, sequence)], 1).AsTask())];
        LogAppendResult[][] results = Do(store, Task.WhenAll(appends));
        Assert.Equal([0L, 1L, 1L, 2L, -1L], results.Select(result => result[0].BaseOffset));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, results[4][0].Error);
        Assert.Equal(2, log.SegmentCount);
        log = Open(store, epoch: 2);
        Assert.Equal(2, Do(store, log.AppendAsync([Batches.Idempotent(3, 0, 2)], 2).AsTask())[0].BaseOffset);
        Assert.Equal(3, log.LogEndOffset);
    }

    [Fact]
    public void Retention_deletes_whole_rows() => OnOwnThread(Retention);

    private static void Retention()
    {
        var time = new ManualTimeProvider();
        var store = new SimulatedRowStore { Faulty = false };
        RowPartitionLog log = Open(store, epoch: 1, config: LogExtensions.Config(("retention.ms", "60000")), options: Small with { Time = time, MergeRows = 100 });
        for (int i = 0; i < 10; i++)
        {
            ReadOnlyMemory<byte> batch = Batches.Sized(100, time.GetUtcNow().ToUnixTimeMilliseconds());
            Do(store, log.AppendAsync([batch], 1).AsTask());
            time.Advance(TimeSpan.FromSeconds(10));
        }

        Assert.Equal(4, Do(store, log.MaintainAsync().AsTask()).SegmentsDeleted);
        Assert.Equal((4, 6), (log.LogStartOffset, store.Rows));
    }

    [Fact]
    public void The_formats_of_row_and_head()
    {
        byte[] row = new SegmentRow(3, 10, 12, 99, new byte[] { 1, 2 }).Serialize();
        Assert.Equal("41524F5700010000001E00000003000000000000000A000000000000000C00000000000000630102", Convert.ToHexString(row)[..^8]);
        SegmentRow read = SegmentRow.Deserialize("r", row);
        Assert.Equal((3, 10L, 12L, 99L, 2), (read.LeaderEpoch, read.BaseOffset, read.NextOffset, read.MaxTimestamp, read.Batches.Length));
        row[20] ^= 1;
        Assert.Throws<LogException>(() => SegmentRow.Deserialize("r", row));

        var head = new RowLogHead(2, 5, 12, [new RowInfo(5, 12, 99, 300, -1)], [new EpochStart(2, 5)], ["r1"], [7]);
        byte[] bytes = head.Serialize();
        Assert.Equal(
            "414845440001" + "00000057" + "00000002" + "0000000000000005" + "000000000000000C"
            + "00000001" + "0000000000000005" + "000000000000000C" + "0000000000000063" + "0000012C" + "FFFFFFFF"
            + "00000001" + "00000002" + "0000000000000005" + "00000001" + "00000002" + "7231" + "00000001" + "07",
            Convert.ToHexString(bytes)[..^8]);
        Assert.Equal(bytes, RowLogHead.Deserialize(bytes).Serialize());
    }

    private static RowPartitionLog Open(SimulatedRowStore store, int epoch = -1, TopicConfig? config = null, RowLogOptions? options = null) =>
        Do(store, RowPartitionLog.OpenAsync(LogFixture.Partition, store.Connect(), config ?? LogExtensions.Config(), options ?? Small, epoch));

    private static List<string?> Values(SimulatedRowStore store, IPartitionLog log)
    {
        var values = new List<string?>();
        for (long next = log.LogStartOffset; next < log.HighWatermark;)
        {
            LogReadResult read = Do(store, log.ReadAsync(next, 300, minOneBatch: true).AsTask());
            List<(long Offset, string? Key, string? Value)> part = Batches.Records(read.Records);
            Assert.Equal(next, part.First(record => record.Offset >= next).Offset);
            values.AddRange(part.Where(record => record.Offset >= next).Select(record => record.Value));
            next = part[^1].Offset + 1;
        }

        return values;
    }

    /// <summary>Steps until the task is done. Some continuations run on the thread pool, so it may have to wait for one.</summary>
    private static T Do<T>(SimulatedRowStore store, Task<T> task)
    {
        var order = new Random(0);
        var spin = default(SpinWait);
        while (!task.IsCompleted)
        {
            if (!store.Step(order))
            {
                spin.SpinOnce();
            }
        }

        return task.GetAwaiter().GetResult();
    }

    /// <summary>
    /// Without the test runner's scheduler and context, so that continuations run where the store answers, one after the other, and a
    /// seed replays everything.
    /// </summary>
    private static void OnOwnThread(Action action)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (Exception error)
            {
                failure = error;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
    }

    private static async Task<bool> Wrap(ValueTask task)
    {
        await task.ConfigureAwait(false);
        return true;
    }

    private sealed class Race(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly SimulatedRowStore _store = new();
        private readonly List<Leader> _leaders = [];
        private readonly Dictionary<long, string> _acknowledged = [];
        private readonly HashSet<string> _sent = [];
        private int _epoch;
        private int _next;

        public void Run()
        {
            for (int step = 0; step < 600; step++)
            {
                switch (_random.Next(30))
                {
                    case 0 when _leaders.Count(leader => !leader.Client.IsDead) < 3:
                        Activate();
                        break;
                    case 1 when _leaders.Count > 0:
                        _leaders[_random.Next(_leaders.Count)].Client.IsDead = true;
                        break;
                    case 2 or 3 when Ready() is { } leader:
                        _ = leader.Log!.MaintainAsync().AsTask();
                        break;
                    case 4 when _leaders.Count > 0:
                        // One that hears nothing for a while, and goes on as if nothing had happened.
                        SimulatedRowStore.Client client = _leaders[_random.Next(_leaders.Count)].Client;
                        client.IsStalled = !client.IsStalled;
                        break;
                    case < 12 when Ready() is { } leader:
                        Append(leader);
                        break;
                    default:
                        _store.Step(_random);
                        break;
                }

                Collect();
            }

            _store.Faulty = false;
            _leaders.ForEach(leader => leader.Client.IsStalled = false);
            while (_store.Step(_random))
            {
                Collect();
            }

            Collect();
            RowPartitionLog last = Open(_store, epoch: _epoch + 1);
            List<string?> values = Values(_store, last);
            Assert.Equal(last.LogEndOffset, values.Count);
            Assert.All(_acknowledged, pair => Assert.Equal(pair.Value, values[(int)pair.Key]));
            Assert.Equal(values.Count, values.Distinct().Count());
            Assert.All(values, value => Assert.Contains(value!, _sent));
            Assert.Equal(ErrorCode.None, Do(_store, last.AppendAsync([Batches.Of("last")], _epoch + 1).AsTask())[0].Error);
        }

        private void Activate()
        {
            var leader = new Leader(_store.Connect(), ++_epoch);
            leader.Opening = RowPartitionLog.OpenAsync(
                LogFixture.Partition, leader.Client, LogExtensions.Config(), Small, _random.Next(2) == 0 ? leader.Epoch : -1);
            _leaders.Add(leader);
        }

        private Leader? Ready()
        {
            Leader[] ready = [.. _leaders.Where(leader => leader is { Client.IsDead: false, Log: not null })];
            return ready.Length == 0 ? null : ready[_random.Next(ready.Length)];
        }

        private void Append(Leader leader)
        {
            string[] values = [.. Enumerable.Range(0, _random.Next(1, 4)).Select(_ => $"{_next++}/{leader.Epoch}")];
            _sent.UnionWith(values);
            leader.InFlight.Add((leader.Log!.AppendAsync([Batches.Of(values)], leader.Epoch), values));
        }

        private void Collect()
        {
            foreach (Leader leader in _leaders)
            {
                if (leader.Log is null && leader.Opening is { IsCompleted: true } opening)
                {
                    leader.Opening = null;
                    if (opening.IsCompletedSuccessfully)
                    {
                        leader.Log = opening.Result;
                    }
                }

                foreach ((ValueTask<LogAppendResult[]> task, string[] values) in leader.InFlight.Where(append => append.Task.IsCompleted).ToArray())
                {
                    LogAppendResult result = task.Result[0];
                    leader.InFlight.RemoveAll(append => append.Values == values);
                    for (int i = 0; result.Error == ErrorCode.None && i < values.Length; i++)
                    {
                        Assert.True(_acknowledged.TryAdd(result.BaseOffset + i, values[i]), "Two records were acknowledged at one offset.");
                    }
                }
            }
        }

        private sealed class Leader(SimulatedRowStore.Client client, int epoch)
        {
            public SimulatedRowStore.Client Client { get; } = client;

            public int Epoch { get; } = epoch;

            public Task<RowPartitionLog>? Opening { get; set; }

            public RowPartitionLog? Log { get; set; }

            public List<(ValueTask<LogAppendResult[]> Task, string[] Values)> InFlight { get; } = [];
        }
    }
}
