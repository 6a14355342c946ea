using System.Globalization;
using Arus.Storage.Rows;
using Arus.Testing;
using static Arus.Storage.Tests.RowLogs;

namespace Arus.Storage.Tests;

/// <summary>
/// Several leaders at once on one store that loses calls and answers. What the last of a dead or fenced leader may have done is open;
/// what was answered holds.
/// </summary>
public sealed class RowPartitionLogRaceTests
{
    [Fact]
    public void Leaders_that_race_lose_nothing_acknowledged_and_make_one_order() => Run(Kind.Append);

    [Fact]
    public void What_is_truncated_or_deleted_stays_so_and_nothing_else_goes() => Run(Kind.Cut);

    [Fact]
    public void Compaction_leaves_the_last_acknowledged_record_of_each_key() => Run(Kind.Compact);

    private static void Run(Kind kind)
    {
        (int changes, int left) = (0, 0);
        Seeds.Run(240, seed =>
        {
            var race = new Race(seed, kind);
            OnOwnThread(race.Run);
            changes += race.Changes;
            left += race.LeftOver;
        });
        Assert.True(kind == Kind.Append || Seeds.Given is not null || changes > 0, $"No {kind} took effect with any seed.");
    }

    private enum Kind
    {
        Append = 0,
        Cut = 1,
        Compact = 2,
    }

    private sealed class Race(int seed, Kind kind)
    {
        private const int Keys = 6;

        private readonly Random _random = new(seed);
        private readonly SimulatedRowStore _store = new();
        private readonly List<Leader> _leaders = [];
        private readonly TopicConfig _config = kind == Kind.Compact
            ? LogExtensions.Config(("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0"))
            : LogExtensions.Config();

        /// <summary>What must be there at the end, by offset.</summary>
        private readonly Dictionary<long, string> _acknowledged = [];
        private readonly HashSet<string> _sent = [];

        /// <summary>What a truncation that was answered took away.</summary>
        private readonly HashSet<string> _gone = [];
        private long _start;
        private int _compacted;
        private int _epoch;
        private int _next;

        public int LeftOver { get; private set; }

        /// <summary>Rows compacted and records truncated while others raced.</summary>
        public int Changes => _compacted + _gone.Count;

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
                        leader.Maintenance.Add(leader.Log!.MaintainAsync().AsTask());
                        break;
                    case 4 when _leaders.Count > 0:
                        // One that hears nothing for a while, and goes on as if nothing had happened.
                        SimulatedRowStore.Client client = _leaders[_random.Next(_leaders.Count)].Client;
                        client.IsStalled = !client.IsStalled;
                        break;
                    case 5 when kind == Kind.Cut && Ready() is { } leader:
                        Truncate(leader);
                        break;
                    case 6 when kind == Kind.Cut && Ready() is { } leader:
                        leader.Deletions.Add(leader.Log!.DeleteRecordsAsync(_start + _random.Next(4)).AsTask());
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
                Collect();

            Collect();
            Check();
        }

        private void Check()
        {
            RowPartitionLog last = Open(_store, epoch: _epoch + 1, config: _config);
            List<(long Offset, string? Key, string? Value)> records = ReadAll(_store, last);
            if (kind == Kind.Compact)
            {
                // Once more, undisturbed, and through a log that has nothing in memory.
                Do(_store, last.MaintainAsync().AsTask());
                last = Open(_store, epoch: ++_epoch + 1, config: _config);
                records = ReadAll(_store, last);
                Assert.InRange(records.Count, 0, Keys + 100);
            }
            else
            {
                Assert.Equal(last.LogEndOffset - last.LogStartOffset, records.Count);
            }

            Assert.True(last.LogStartOffset >= _start, $"The log starts at {last.LogStartOffset}; {_start} was answered.");
            Dictionary<long, (string? Key, string? Value)> found =
                records.ToDictionary(record => record.Offset, record => (record.Key, record.Value));
            Assert.All(_acknowledged.Where(pair => pair.Key >= last.LogStartOffset), pair => Assert.True(
                found.TryGetValue(pair.Key, out (string? Key, string? Value) record)
                    ? record.Value == pair.Value
                    : kind == Kind.Compact && records.Exists(later => later.Offset > pair.Key && later.Key == KeyOf(pair.Value)),
                $"{pair.Value}, acknowledged at {pair.Key}, is not there; there is {record.Value}."));
            Assert.Equal(records.Count, records.Select(record => record.Value).Distinct().Count());
            Assert.All(records, record => Assert.Contains(record.Value!, _sent));
            Assert.All(records, record => Assert.DoesNotContain(record.Value!, _gone));
            Assert.Equal(ErrorCode.None, Do(_store, last.AppendAsync([Batch("last")], _epoch + 1).AsTask())[0].Error);
            CheckNothingIsLeft(last);
        }

        /// <summary>
        /// Who dies between an insert and the look at the head that tells of a newer leader leaves that row, and no other does.
        /// </summary>
        private void CheckNothingIsLeft(RowPartitionLog last)
        {
            Do(_store, last.MaintainAsync().AsTask());
            Assert.InRange(_store.Rows - last.SegmentCount, 0, _leaders.Count(leader => leader.Client.IsDead));
            LeftOver += _store.Rows - last.SegmentCount;
        }

        private string KeyOf(string value) => $"k{int.Parse(value.Split('/')[0], CultureInfo.InvariantCulture) % Keys}";

        private static int EpochOf(string value) => int.Parse(value.Split('/')[1], CultureInfo.InvariantCulture);

        private ReadOnlyMemory<byte> Batch(params string[] values) =>
            kind == Kind.Compact
                ? Batches.Keyed([.. values.Select(value => (value == "last" ? (string?)value : KeyOf(value), (string?)value))])
                : Batches.Of(values);

        private void Activate()
        {
            bool claims = _random.Next(2) == 0;
            var leader = new Leader(_store.Connect(), ++_epoch) { Leads = claims };
            leader.Opening = RowPartitionLog.OpenAsync(LogFixture.Partition, leader.Client, _config, Small, claims ? leader.Epoch : -1);
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
            leader.InFlight.Add((leader.Log!.AppendAsync([Batch(values)], leader.Epoch), values));
        }

        /// <summary>
        /// From now on it is open whether what lies behind the target is there: the truncation may take effect and its answer be lost.
        /// The same goes for what this leader and older ones have under way. What a newer leader acknowledges from now on holds: either
        /// it claimed the log after the truncation, or the truncation fails.
        /// </summary>
        private void Truncate(Leader leader)
        {
            const int LongestBatch = 3;
            long target = leader.Log!.LogEndOffset - _random.Next(8);
            if (!leader.Leads || target < leader.Log.LogStartOffset + LongestBatch
                || leader.Deletions.Exists(deletion => !deletion.IsCompleted))
            {
                return; // A log that is cut within its first batch begins where that batch did, and what was deleted may come anew.
            }

            // One that does not know of a newer leader yet has nothing to truncate where that one has written.
            string[] behind =
                [.. _acknowledged.Where(pair => pair.Key >= target && EpochOf(pair.Value) <= leader.Epoch).Select(pair => pair.Value)];
            foreach (long offset in _acknowledged.Keys.Where(offset => offset > target - LongestBatch).ToArray())
                _acknowledged.Remove(offset);

            foreach (Leader other in _leaders.Where(other => other.Epoch <= leader.Epoch))
                other.Uncertain.UnionWith(other.InFlight.SelectMany(append => append.Values));

            leader.Truncations.Add((leader.Log.TruncateToAsync(target).AsTask(), behind));
        }

        private void Collect()
        {
            foreach (Leader leader in _leaders)
            {
                if (leader.Log is null && leader.Opening is { IsCompleted: true } opening)
                {
                    leader.Opening = null;
                    if (opening.IsCompletedSuccessfully)
                        leader.Log = opening.Result;
                }

                (Task Task, string[] Behind)[] truncated =
                    [.. leader.Truncations.Where(truncation => truncation.Task.IsCompletedSuccessfully)];
                foreach ((Task task, string[] behind) in truncated)
                {
                    leader.Truncations.RemoveAll(truncation => truncation.Task == task);
                    _gone.UnionWith(behind);
                }

                foreach (Task<LogDeleteResult> task in leader.Deletions.Where(task => task.IsCompletedSuccessfully))
                    _start = Math.Max(_start, task.Result.LogStartOffset);

                _compacted += leader.Maintenance.Where(task => task.IsCompletedSuccessfully).Sum(task => task.Result.SegmentsCompacted);
                leader.Maintenance.RemoveAll(task => task.IsCompleted);
                (ValueTask<LogAppendResult[]> Task, string[] Values)[] answered =
                    [.. leader.InFlight.Where(append => append.Task.IsCompleted)];
                foreach ((ValueTask<LogAppendResult[]> task, string[] values) in answered)
                {
                    LogAppendResult result = task.Result[0];
                    leader.InFlight.RemoveAll(append => append.Values == values);
                    leader.Leads |= result.Error == ErrorCode.None;
                    for (int i = 0; result.Error == ErrorCode.None && i < values.Length && !leader.Uncertain.Contains(values[i]); i++)
                        Assert.True(_acknowledged.TryAdd(result.BaseOffset + i, values[i]), "Two records were acknowledged at one offset.");
                }
            }
        }

        private sealed class Leader(SimulatedRowStore.Client client, int epoch)
        {
            public SimulatedRowStore.Client Client { get; } = client;

            public int Epoch { get; } = epoch;

            /// <summary>Has claimed the log, so that no older leader acknowledges anything any more.</summary>
            public bool Leads { get; set; }

            public Task<RowPartitionLog>? Opening { get; set; }

            public RowPartitionLog? Log { get; set; }

            public List<(ValueTask<LogAppendResult[]> Task, string[] Values)> InFlight { get; } = [];

            public HashSet<string> Uncertain { get; } = [];

            public List<(Task Task, string[] Behind)> Truncations { get; } = [];

            public List<Task<LogDeleteResult>> Deletions { get; } = [];

            public List<Task<LogMaintenanceResult>> Maintenance { get; } = [];
        }
    }
}
