using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>Transactions of a log in files over crashes, lost indexes and replicas, beside a model.</summary>
public sealed class TransactionTests
{
    private static readonly TopicConfig Config = LogExtensions.Config(("internal.segment.bytes", "1024"), ("file.delete.delay.ms", "0"));

    [Fact]
    public async Task A_transaction_counts_as_open_until_its_marker_is_below_the_high_watermark()
    {
        var machine = new Machine();
        IPartitionLog log = await machine.OpenReplicaAsync(Config);
        await WriteAsync(machine, log, 1, 0);
        await machine.MustAppendAsync(log, 1, Batches.Of("between"));
        log.AdvanceHighWatermark(2);
        await EndAsync(machine, log, 1, commit: false);
        Assert.Equal((3, 2, 0), (log.LogEndOffset, log.HighWatermark, log.LastStableOffset));

        // Also after a restart, when the marker lies before the recovery point, and after a crash, when it lies behind it.
        await machine.RestartAsync(log);
        log = await machine.OpenReplicaAsync(Config);
        Assert.Equal((3, 2, 0), (log.LogEndOffset, log.HighWatermark, log.LastStableOffset));
        machine.Kill();
        log = await machine.OpenReplicaAsync(Config);
        Assert.Equal((3, 2, 0), (log.LogEndOffset, log.HighWatermark, log.LastStableOffset));
        ValueTask<bool> wait = log.WaitForAsync(0, Timeout.InfiniteTimeSpan, upTo: LogReadLimit.LastStable);
        log.AdvanceHighWatermark(3);
        Assert.True(await wait);
        Assert.Equal(3, log.LastStableOffset);
    }

    [Fact]
    public async Task A_follower_learns_transactions_from_what_it_is_sent()
    {
        (var machine, var follower) = (new Machine(), new Machine());
        IPartitionLog log = await machine.OpenReplicaAsync(Config);
        IPartitionLog copy = await follower.OpenReplicaAsync(Config);
        await WriteAsync(machine, log, 1, 0);
        await WriteAsync(machine, log, 2, 0);
        await EndAsync(machine, log, 1, commit: false);
        await CopyAsync();
        Assert.Equal((3, 0), (copy.LogEndOffset, copy.LastStableOffset));
        copy.AdvanceHighWatermark(3);
        Assert.Equal(1, copy.LastStableOffset);
        await EndAsync(machine, log, 2, commit: true);
        await CopyAsync();
        copy.AdvanceHighWatermark(4);
        Assert.Equal(4, copy.LastStableOffset);
        LogAbortedTransaction[] aborted = await follower.Scheduler.RunAsync(copy.FindAbortedAsync(0, 4));
        Assert.Equal([new LogAbortedTransaction(1, 0, 2, 1)], aborted);
        LogAppendResult[] fenced = await follower.Scheduler.RunAsync(
            copy.AppendAsync([Batches.Transactional(1, 0, 1, "no transaction")], 1));
        Assert.Equal(ErrorCode.InvalidTxnState, fenced[0].Error);

        async Task CopyAsync()
        {
            LogReadResult read = await machine.Scheduler.RunAsync(
                log.ReadAsync(copy.LogEndOffset, 1 << 20, true, LogReadLimit.DurableEnd));
            foreach (ReadOnlyMemory<byte> batch in read.Records.SelectMany(BatchSlicing.Split))
                await follower.MustAppendAsync(copy, 1, batch, AppendOrigin.Replica);
        }
    }

    /// <summary>
    /// Random lives of a log: after every step, whatever crash, cut or lost file came before, the transactions are those of its records.
    /// </summary>
    [Fact]
    public async Task Transactions_are_those_of_the_records_that_are_left()
    {
        foreach (int seed in Seeds.Take(40))
        {
            Exception? failure = await Record.ExceptionAsync(() => new Life(seed).RunAsync());
            Assert.True(failure is null, $"seed {seed}: {failure}");
        }
    }

    private static async Task WriteAsync(Machine machine, IPartitionLog log, long producer, int sequence)
    {
        ReadOnlyMemory<byte> batch = Batches.Transactional(producer, 0, sequence, $"{producer}/{sequence}");
        VerificationGuard? guard = await machine.Scheduler.RunAsync(log.BeginVerificationAsync(producer, 0, sequence, false));
        LogAppendResult result = (await machine.Scheduler.RunAsync(log.AppendAsync([batch], 1, guard: guard)))[0];
        Assert.True(result.Error == ErrorCode.None, result.Message);
    }

    private static async Task EndAsync(Machine machine, IPartitionLog log, long producer, bool commit)
    {
        LogAppendResult result = await machine.Scheduler.RunAsync(
            log.EndTransactionAsync(new LogMarker(producer, 0, 0, commit, 1), 1));
        Assert.True(result.Error == ErrorCode.None, result.Message);
    }

    private sealed class Life(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly Machine _machine = new(new LogProviderOptions { Directory = "/logs", Flush = FlushPolicy.Always });

        /// <summary>By offset: the producer and whether it commits (true), aborts (false) or writes (null).</summary>
        private readonly List<(long Producer, bool? Commits)> _log = [];

        public async Task RunAsync()
        {
            IPartitionLog log = await _machine.OpenAsync(Config);
            for (int step = 0; step < 60; step++)
            {
                switch (_random.Next(20))
                {
                    case < 15:
                        await AppendAsync(log);
                        break;
                    case 15:
                        long end = _random.Next(_log.Count + 1);
                        await _machine.Scheduler.RunAsync(log.TruncateToAsync(end));
                        _log.RemoveRange((int)end, _log.Count - (int)end);
                        break;
                    case 16:
                        await _machine.RestartAsync(log);
                        LoseIndexes();
                        log = await _machine.OpenAsync(Config);
                        break;
                    case 17:
                        _machine.Kill();
                        LoseIndexes();
                        log = await _machine.OpenAsync(Config);
                        break;
                    default:
                        _machine.Crash(_random);
                        log = await _machine.OpenAsync(Config);
                        break;
                }

                await CheckAsync(log, step);
            }
        }

        private async Task AppendAsync(IPartitionLog log)
        {
            long producer = _random.Next(4);
            bool isOpen = Open().ContainsKey(producer);
            bool? commits = isOpen && _random.Next(3) == 0 ? _random.Next(2) == 0 : null;
            if (commits is { } commit)
            {
                await EndAsync(_machine, log, producer, commit);
            }
            else
            {
                LogProducer[] known = await _machine.Scheduler.RunAsync(log.DescribeProducersAsync());
                int sequence = known.FirstOrDefault(one => one.ProducerId == producer, new LogProducer(0, 0, -1, 0)).LastSequence + 1;
                await WriteAsync(_machine, log, producer, sequence);
            }

            _log.Add((producer, commits));
        }

        private Dictionary<long, long> Open()
        {
            var open = new Dictionary<long, long>();
            for (int offset = 0; offset < _log.Count; offset++)
            {
                if (_log[offset].Commits is null)
                    open.TryAdd(_log[offset].Producer, offset);
                else
                    open.Remove(_log[offset].Producer);
            }

            return open;
        }

        private async Task CheckAsync(IPartitionLog log, int step)
        {
            Assert.True(log.LogEndOffset == _log.Count, $"seed {seed}, step {step}: {log.LogEndOffset} of {_log.Count}");
            long stable = Open().Values.Append(_log.Count).Min();
            Assert.True(log.LastStableOffset == stable, $"seed {seed}, step {step}: {log.LastStableOffset}, not {stable}");
            long from = _random.Next(_log.Count + 1);
            long to = _random.Next((int)from, _log.Count + 1);
            List<(long, long, long)> expected = [];
            var open = new Dictionary<long, long>();
            for (int offset = 0; offset < _log.Count; offset++)
            {
                (long producer, bool? commits) = _log[offset];
                if (commits is null)
                    open.TryAdd(producer, offset);
                else if (open.Remove(producer, out long first) && commits == false && offset >= from && first < to)
                    expected.Add((producer, first, offset));
            }

            LogAbortedTransaction[] found = await _machine.Scheduler.RunAsync(log.FindAbortedAsync(from, to));
            IEnumerable<(long, long, long)> aborted = found.Select(one => (one.ProducerId, one.FirstOffset, one.LastOffset));
            Assert.True(
                expected.SequenceEqual(aborted), $"seed {seed}, step {step}: [{from}, {to}) {string.Join(' ', aborted)} instead of "
                + string.Join(' ', expected));
        }

        private void LoseIndexes()
        {
            foreach (string name in _machine.Disk.ListFiles(_machine.Directory))
            {
                if (name.EndsWith(Segment.IndexSuffix, StringComparison.Ordinal) && _random.Next(3) == 0)
                    _machine.Disk.DeleteFile(Path.Combine(_machine.Directory, name));
            }
        }
    }
}
