using Arus.Compression;
using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>
/// Random work on a disk that crashes. What is acknowledged under <c>always</c> is read back once, in order, at its offset; what was
/// not acknowledged may be there, once, whole and in order; nothing else is.
/// </summary>
public sealed class FaultTests
{
    private const int Steps = 60;

    [Fact]
    public Task Acknowledged_records_survive_crashes() => Seeds.RunAsync(200, seed => new Run(seed).ExecuteAsync());

    private sealed class Run(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly Machine _machine = new();
        private readonly TopicConfig _config = LogExtensions.Config(
            ("internal.segment.bytes", $"{1024 << (seed % 4)}"), ("index.interval.bytes", $"{seed % 3 * 100}"));

        /// <summary>What is acknowledged, by offset.</summary>
        private readonly SortedDictionary<long, string> _acknowledged = [];

        /// <summary>Sent, not answered yet.</summary>
        private readonly List<(ValueTask<LogAppendResult[]> Task, string[] Values, int Sequence)> _inFlight = [];
        private readonly HashSet<string> _sent = [];
        private IPartitionLog _log = null!;
        private int _next;
        private int _sequence;
        private short _producerEpoch;
        private int _epoch = 1;

        public async Task ExecuteAsync()
        {
            _log = await _machine.OpenAsync(_config);
            for (int step = 0; step < Steps; step++)
            {
                switch (_random.Next(20))
                {
                    case < 9:
                        Append();
                        break;
                    case < 15:
                        for (int i = _random.Next(4); i >= 0 && _machine.Scheduler.RunOne(_random); i--)
                        {
                        }

                        Collect();
                        break;
                    case 15:
                        await ReopenAsync(crash: true);
                        break;
                    case 16:
                        await ReopenAsync(crash: false);
                        break;
                    case 17:
                        await TruncateAsync();
                        break;
                    case 18:
                        await DeleteRecordsAsync();
                        break;
                    default:
                        await VerifyAsync();
                        break;
                }
            }

            await ReopenAsync(crash: true);
            await VerifyAsync();
        }

        private void Append()
        {
            int count = _random.Next(1, 4);
            string[] values = [.. Enumerable.Range(0, count).Select(_ => $"{_next++} {new string('.', _random.Next(300))}")];
            foreach (string value in values)
                _sent.Add(value);

            bool idempotent = _random.Next(2) == 0;
            int sequence = idempotent ? _sequence : -1;
            var options = idempotent
                ? new RecordBatchOptions { ProducerId = 7, ProducerEpoch = _producerEpoch, BaseSequence = sequence }
                : new RecordBatchOptions();
            _sequence += idempotent ? count : 0;
            ReadOnlyMemory<byte> batch = Batches.Build(values.Select(value => ((string?)null, (string?)value)), options);
            _inFlight.Add((_log.AppendAsync([batch], _epoch), values, sequence));
        }

        private void Collect()
        {
            while (_inFlight.Count > 0 && _inFlight[0].Task.IsCompleted)
            {
                (ValueTask<LogAppendResult[]> task, string[] values, _) = _inFlight[0];
                _inFlight.RemoveAt(0);
                LogAppendResult result = task.Result[0];
                Assert.True(result.Error == ErrorCode.None, result.Message);
                for (int i = 0; i < values.Length; i++)
                    _acknowledged[result.BaseOffset + i] = values[i];
            }
        }

        private async Task ReopenAsync(bool crash)
        {
            Collect();
            if (crash)
            {
                _machine.Crash(_random);
            }
            else if (_random.Next(2) == 0)
            {
                _machine.Kill();
            }
            else
            {
                await _machine.RestartAsync(_log);
                Collect();
            }

            _inFlight.Clear();
            _epoch++;
            _producerEpoch++;
            _sequence = 0;
            _log = await _machine.OpenAsync(_config);
            await VerifyAsync();
        }

        private async Task TruncateAsync()
        {
            await SettleAsync();
            long target = _log.LogEndOffset - _random.Next(6);
            if (target <= _log.LogStartOffset)
                return;

            await _machine.Scheduler.RunAsync(_log.TruncateToAsync(target));
            foreach (long gone in _acknowledged.Keys.Where(offset => offset >= _log.LogEndOffset).ToArray())
                _acknowledged.Remove(gone);

            _producerEpoch++;
            _sequence = 0;
            await VerifyAsync();
        }

        private async Task DeleteRecordsAsync()
        {
            await SettleAsync();
            long target = _log.LogStartOffset + _random.Next((int)(_log.HighWatermark - _log.LogStartOffset) / 2 + 1);
            LogDeleteResult result = await _machine.Scheduler.RunAsync(_log.DeleteRecordsAsync(target));
            Assert.Equal((ErrorCode.None, target), (result.Error, result.LogStartOffset));
            foreach (long gone in _acknowledged.Keys.Where(offset => offset < target).ToArray())
                _acknowledged.Remove(gone);
        }

        private Task SettleAsync()
        {
            _machine.Scheduler.RunAll();
            Collect();
            Assert.Empty(_inFlight);
            return Task.CompletedTask;
        }

        private async Task VerifyAsync()
        {
            Collect();
            var records = new List<(long Offset, string? Key, string? Value)>();
            for (long next = _log.LogStartOffset; next < _log.HighWatermark;)
            {
                LogReadResult read = await _machine.Scheduler.RunAsync(_log.ReadAsync(next, _random.Next(1, 2000), minOneBatch: true));
                Assert.Equal(ErrorCode.None, read.Error);
                List<(long Offset, string? Key, string? Value)> part = Batches.Records(read.Records);
                records.AddRange(part.Where(record => record.Offset >= next));
                next = part[^1].Offset + 1;
            }

            Collect(); // Reading ran what was queued.
            Assert.Equal(records.Select(record => record.Offset).Distinct().Order(), records.Select(record => record.Offset));
            Assert.Equal(records.Count, records.Select(record => record.Value).Distinct().Count());
            Assert.All(records, record => Assert.Contains(record.Value!, _sent));
            Dictionary<long, string?> found = records.ToDictionary(record => record.Offset, record => record.Value);
            foreach ((long offset, string value) in _acknowledged.Where(pair => pair.Key < records.LastOrDefault().Offset + 1))
                Assert.Equal(value, found.GetValueOrDefault(offset));

            Assert.True(
                _acknowledged.Count == 0 || _acknowledged.Keys.Max() < _log.HighWatermark, "An acknowledged record is missing at the end.");
        }
    }
}
