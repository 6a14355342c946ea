using Arus.Testing;

namespace Arus.Storage.Tests;

/// <summary>
/// Random lives of a replica's log, beside a model of what it has promised: what was acknowledged is there under the same id, the fence
/// never falls, and the high watermark is never above what it was.
/// </summary>
public sealed class ReplicaModelTests
{
    private static readonly TopicConfig Config = LogExtensions.Config(("internal.segment.bytes", "1024"), ("file.delete.delay.ms", "0"));

    [Theory]
    [InlineData("always")]
    [InlineData("os")]
    public async Task What_a_replica_has_promised_survives(string flush)
    {
        foreach (int seed in Seeds.Take(40))
        {
            Exception? failure = await Record.ExceptionAsync(() => new Life(seed, FlushPolicy.Parse(flush)).RunAsync());
            Assert.True(failure is null, $"seed {seed}: {failure}");
        }
    }

    private sealed class Life(int seed, FlushPolicy flush)
    {
        private readonly Random _random = new(seed);
        private readonly Machine _machine = new(new LogProviderOptions { Directory = "/logs", Flush = flush });

        /// <summary>What was acknowledged, by offset.</summary>
        private readonly List<(int Epoch, string Value)> _acknowledged = [];

        /// <summary>Appended behind it, and not acknowledged when the log was last left.</summary>
        private readonly List<(int Epoch, string Value)> _inFlight = [];
        private IPartitionLog _log = null!;
        private Guid _id;
        private int _epoch = 1;
        private long _highWatermark;
        private int _values;
        private bool _isWritten;

        public async Task RunAsync()
        {
            _log = await _machine.OpenReplicaAsync(Config);
            _id = _log.LogId;
            await _machine.PrepareAsync(_log, _epoch);
            for (int step = 0; step < 40; step++)
            {
                switch (_random.Next(10))
                {
                    case < 4:
                        await AppendAsync();
                        break;
                    case 4:
                        await PrepareAsync();
                        break;
                    case 5 or 6:
                        _highWatermark = Math.Max(_highWatermark, Math.Min(_random.Next(_acknowledged.Count + 1), _log.DurableEndOffset));
                        _log.AdvanceHighWatermark(_highWatermark);
                        break;
                    case 7:
                        _machine.Time.Advance(TimeSpan.FromSeconds(5));
                        _machine.Scheduler.RunAll();
                        break;
                    default:
                        await RestartAsync();
                        break;
                }

                Assert.True(_log.HighWatermark == _highWatermark, $"seed {seed}, step {step}");
            }
        }

        private async Task AppendAsync()
        {
            (int Epoch, string Value) record = NewRecord();
            await _machine.MustAppendAsync(_log, _epoch, Batch(_acknowledged.Count, record), AppendOrigin.Replica);
            _acknowledged.Add(record);
            _isWritten = true;
        }

        private async Task PrepareAsync()
        {
            _epoch += _random.Next(3);
            long end = _random.Next((int)_highWatermark, _acknowledged.Count + 1);
            _isWritten &= end == _acknowledged.Count;
            await _machine.PrepareAsync(_log, _epoch, truncateTo: end);
            _acknowledged.RemoveRange((int)end, _acknowledged.Count - (int)end);
        }

        private async Task RestartAsync()
        {
            bool keeps = true;
            switch (_random.Next(3))
            {
                case 0:
                    await _machine.RestartAsync(_log);
                    _isWritten = false;
                    break;
                case 1:
                    LeaveInFlight();
                    _machine.Kill();
                    break;
                default:
                    LeaveInFlight();
                    _machine.Crash(_random);
                    keeps = flush == FlushPolicy.Always || !_isWritten;
                    break;
            }

            _log = await _machine.OpenReplicaAsync(Config);
            string hint = $"seed {seed}: {string.Join("; ", _machine.Events.Select(entry => entry.Message))}";
            Assert.True(!keeps || _log.LogId == _id, hint);
            Assert.True(_log.FencedEpoch == _epoch, hint);
            Assert.True(_log.HighWatermark <= _highWatermark && _log.HighWatermark <= _log.DurableEndOffset, hint);
            List<(long Offset, string? Value)> records = await _machine.ReadAllAsync(_log);
            Assert.True(records.Count == _log.DurableEndOffset && (_log.LogId != _id || records.Count >= _acknowledged.Count), hint);
            _acknowledged.AddRange(_inFlight);
            _inFlight.Clear();
            Assert.Equal(_acknowledged.Take(records.Count).Select((record, i) => ((long)i, (string?)record.Value)), records);
            _acknowledged.RemoveRange(records.Count, _acknowledged.Count - records.Count);
            Assert.Equal(_acknowledged.Select(record => record.Epoch).Distinct(), _log.Epochs.Select(start => start.Epoch));
            (_id, _highWatermark) = (_log.LogId, _log.HighWatermark);
        }

        /// <summary>Appends of which nobody knows how far they get.</summary>
        private void LeaveInFlight()
        {
            for (int count = _random.Next(4); count > 0; count--)
            {
                (int Epoch, string Value) record = NewRecord();
                byte[] batch = Batch(_acknowledged.Count + _inFlight.Count, record);
                Assert.False(_log.AppendAsync([batch], _epoch, AppendOrigin.Replica).IsCompleted);
                _inFlight.Add(record);
            }

            for (int steps = _random.Next(3); steps > 0; steps--)
                _isWritten |= _machine.Scheduler.RunOne(_random) && _inFlight.Count > 0;
        }

        private (int Epoch, string Value) NewRecord() => (_epoch, $"{_values++} {new string('x', _random.Next(300))}");

        private static byte[] Batch(long offset, (int Epoch, string Value) record)
        {
            byte[] batch = Batches.Of(record.Value).ToArray();
            BatchStamp.Write(batch, offset, record.Epoch, null);
            return batch;
        }
    }
}
