using Arus.Coordination.Replication;
using Arus.Testing;

namespace Arus.Coordination.Tests.Replication;

/// <summary>
/// Random faults against a small cluster. What was committed is in every later leader's log, and when the faults are over all is whole
/// again. The simulation of the whole product does the same at length; this finds a machine's mistakes in seconds.
/// </summary>
public sealed class RandomFaultTests
{
    private const int Partitions = 3;

    [Fact]
    public void Nothing_that_was_committed_is_lost_and_all_recovers() =>
        Seeds.Run(60, seed => new Run(seed).Go(), regressions: 1008516715);

    private sealed class Run
    {
        private readonly Random _random;
        private readonly TestCluster _cluster;
        private readonly PartitionId[] _ids;
        private readonly Dictionary<PartitionId, List<TestRecord>> _committed = [];
        private bool _isCalm;

        public Run(int seed)
        {
            _random = new Random(seed);
            _cluster = new TestCluster(_random.Next(3, 5), minInSync: _random.Next(1, 3))
            {
                RecordsInPush = _random.Next(1, 8),
                Committed = Commit,
                Delay = () => _isCalm || _random.Next(10) > 0 ? 1 : _random.Next(1, 500),
                Doubles = () => !_isCalm && _random.Next(30) == 0,
            };
            _cluster.Options = _cluster.Options with { LagTimeMaxMs = 3_000, MaxPartitionsInCall = 2, MaxOpenings = 2 };
            _ids = [.. Enumerable.Range(0, Partitions).Select(i => _cluster.Create(Replicas(i), i))];
            foreach (PartitionId id in _ids)
                _committed.Add(id, []);
        }

        public void Go()
        {
            _cluster.StartAll();
            _cluster.Until(() => _ids.All(id => _cluster.Store[id].Isr.Length == 3));
            for (int step = 0; step < 300; step++)
            {
                Fault();
                Append();
                _cluster.Run(_random.Next(1, _random.Next(2, 400)));
            }

            Recover();
        }

        private int[] Replicas(int first) => [.. Enumerable.Range(0, 3).Select(i => ((first + i) % _cluster.Brokers.Length) + 1)];

        /// <summary>A leader let its readers see records: they stay what they are for good.</summary>
        private void Commit(TestBroker broker, PartitionId id, long highWatermark)
        {
            TestLog log = broker.Logs[id];
            List<TestRecord> committed = _committed[id];
            for (long offset = log.LogStartOffset; offset < highWatermark; offset++)
            {
                if (offset < committed.Count)
                {
                    Assert.Equal(committed[(int)offset], log[offset]);
                }
                else
                {
                    Assert.Equal(committed.Count, offset);
                    committed.Add(log[offset]);
                }
            }
        }

        private void Append()
        {
            foreach (PartitionId id in _ids)
            {
                foreach (int leader in _cluster.Leaders(id))
                {
                    TestBroker broker = _cluster[leader];
                    bool isDeposed = broker.Views[id].State.Version < _cluster.Store[id].Version;
                    Assert.True(broker.Logs[id].LogEndOffset >= _committed[id].Count || isDeposed, "a leader lacks committed records");
                    if (_random.Next(2) == 0 && !broker.IsPaused && broker.Logs[id].FencedEpoch == broker.Views[id].State.LeaderEpoch)
                        _cluster.Append(leader, id, _random.Next(1, 5));
                }
            }
        }

        private void Fault()
        {
            TestBroker broker = _cluster.Brokers[_random.Next(_cluster.Brokers.Length)];
            PartitionId id = _ids[_random.Next(_ids.Length)];
            switch (_random.Next(19))
            {
                case 0 when broker.IsUp:
                    _cluster.Kill(broker.Id, declaredDead: _random.Next(2) == 0);
                    break;
                case 1 when broker.IsUp:
                    foreach (TestLog log in broker.Logs.Values)
                        log.Checkpoint();

                    break;
                case 2 or 3 when !broker.IsUp:
                    _cluster.Start(broker.Id);
                    break;
                case 4:
                    _cluster.TellMembership();
                    break;
                case 5:
                    _cluster.Cut(broker.Id, _random.Next(_cluster.Brokers.Length) + 1);
                    break;
                case 6 or 7:
                    _cluster.Heal();
                    break;
                case 8:
                    broker.ReachesDatabase = !broker.ReachesDatabase;
                    break;
                case 9:
                    bool loses = _random.Next(2) == 0;
                    broker.LosesSwapAnswer = _ => loses && _random.Next(2) == 0;
                    break;
                case 10 when broker.IsUp:
                    broker.IsPaused = true;
                    break;
                case 11 or 12:
                    _cluster.Resume(broker.Id);
                    break;
                case 13 when broker.IsUp && !broker.IsPaused:
                    broker.FailLog(id);
                    break;
                case 14 when broker.IsUp:
                    broker.Feed(machine => machine.MoveLeadership(id, _random.Next(_cluster.Brokers.Length) + 1, _cluster.NowMs));
                    break;
                case 15:
                    _cluster.Poll();
                    break;
                case 16:
                    LoseTail(broker);
                    break;
                case 17:
                    DeleteRecords(id);
                    break;
                case 18:
                    Reassign(id);
                    break;
                default:
                    break;
            }
        }

        /// <summary>One broker's disk may lose its newest records, as long as what is acknowledged is on two.</summary>
        private void LoseTail(TestBroker broker)
        {
            if (broker.IsUp || broker.Id != 1 || _cluster.MinInSync < 2)
                return;

            foreach (TestLog log in broker.Logs.Values.Where(log => log.Records.Count > 0))
                log.LoseTail(_random.Next(1, Math.Min(10, log.Records.Count) + 1));
        }

        private void DeleteRecords(PartitionId id)
        {
            foreach (int leader in _cluster.Leaders(id).Where(leader => !_cluster[leader].IsPaused))
            {
                TestLog log = _cluster[leader].Logs[id];
                if (log.FencedEpoch > _cluster[leader].Views[id].State.LeaderEpoch)
                    continue;

                log.DeleteBefore(_random.NextInt64(log.LogStartOffset, log.HighWatermark + 1));
                _cluster[leader].Feed(machine => machine.Durable(id, _cluster.NowMs));
            }
        }

        private void Reassign(PartitionId id)
        {
            PartitionState state = _cluster.Store[id];
            if (state.LeaderEpoch >= 0)
                _cluster.Store.Put(state with { Replicas = [.. Replicas(_random.Next(_cluster.Brokers.Length))] });
        }

        private string Describe(PartitionState state)
        {
            string logs = string.Join(' ', _cluster.Brokers.Select(broker => broker.Logs.TryGetValue(state.Id, out TestLog? log)
                ? $"{broker.Id}:{log.LogId.ToString()[..8]} fence {log.FencedEpoch} end {log.LogEndOffset}" : $"{broker.Id}:none"));
            return $"epoch {state.LeaderEpoch} leader {state.Leader} replicas {string.Join(',', state.Replicas)} "
                + $"isr {string.Join(',', state.Isr)} elr {string.Join(',', state.Elr)} logs {logs} min {_cluster.MinInSync}";
        }

        private void Recover()
        {
            _isCalm = true;
            _cluster.Heal();
            foreach (TestBroker broker in _cluster.Brokers)
            {
                broker.ReachesDatabase = true;
                broker.LosesSwapAnswer = null;
                _cluster.Resume(broker.Id);
                if (!broker.IsUp)
                    _cluster.Start(broker.Id);
            }

            _cluster.TellMembership();
            for (int second = 0; second < 40; second++)
            {
                _cluster.Poll();
                _cluster.Run(1_000);
            }

            foreach (PartitionId id in _ids)
            {
                PartitionState state = _cluster.Store[id];
                int[] leaders = _cluster.Leaders(id);
                Assert.True(leaders.Length == 1, $"led by {string.Join(',', leaders)}: {Describe(state)}");
                int leader = leaders[0];
                Assert.Equal(state.Leader, leader);
                Assert.Equal(3, state.Isr.Length);
                TestLog log = _cluster[leader].Logs[id];
                Assert.Equal(log.LogEndOffset, log.HighWatermark);
                Commit(_cluster[leader], id, log.HighWatermark);
                Assert.Equal(_committed[id].Count, log.LogEndOffset);
                foreach (int replica in state.Replicas)
                {
                    TestLog copy = _cluster[replica].Logs[id];
                    Assert.Equal(log.LogEndOffset, copy.LogEndOffset);
                    Assert.Equal(_committed[id].Skip((int)copy.LogStartOffset), copy.Records);
                }
            }
        }
    }
}
