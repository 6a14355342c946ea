namespace Arus.Chaos;

/// <summary>
/// What writes and reads during a run: producers, which share the rate, and a consumer group of librdkafka; where Arus.Client produces,
/// also one of its consumers.
/// </summary>
internal sealed class Workload : IAsyncDisposable
{
    public const string Idempotent = "librdkafka idempotent";
    public const string Default = "librdkafka default";
    public const string Native = "Arus.Client";
    public const string NativeGroup = "group of Arus.Client";
    public const string KafkaGroup = "group of librdkafka";

    private readonly List<PacedProducer> _producers = [];
    private readonly List<GroupReader> _groups = [];
    private NativeConnection? _native;

    private Workload(AvailabilityMeter meter, AvailabilityMeter reading) => (Meter, Reading) = (meter, reading);

    /// <summary>Of acknowledgements, by kind of producer.</summary>
    public AvailabilityMeter Meter { get; }

    /// <summary>Of records that were read, by group.</summary>
    public AvailabilityMeter Reading { get; }

    public IReadOnlyList<GroupReader> Groups => _groups;

    public IReadOnlyList<ProducerLedger> Ledgers => [.. _producers.Select(producer => producer.Ledger)];

    /// <param name="clients">The kinds of producers.</param>
    /// <param name="onAcknowledged">Of the records of librdkafka's producers, as <see cref="KafkaProducer"/> tells them.</param>
    public static async Task<Workload> StartAsync(
        Cluster cluster, ChaosTopic topic, IReadOnlyList<string> clients, int perSecond, Journal journal,
        Action<int, DateTime>? onAcknowledged = null)
    {
        bool withNative = clients.Contains(Native);
        var workload = new Workload(
            new AvailabilityMeter(TimeProvider.System, clients, topic.Partitions),
            new AvailabilityMeter(TimeProvider.System, withNative ? [KafkaGroup, NativeGroup] : [KafkaGroup], topic.Partitions));
        try
        {
            await workload.AddGroupsAsync(cluster, topic, withNative, journal);
            for (int i = 0; i < clients.Count; i++)
            {
                var ledger = new ProducerLedger((ushort)(i + 1), clients[i], clients[i] != Default, topic.Partitions);
                workload.AddProducer(ledger, topic, perSecond / clients.Count, journal, onAcknowledged);
            }

            return workload;
        }
        catch
        {
            await workload.DisposeAsync();
            throw;
        }
    }

    /// <summary>Ends the offering, and waits for the answers within the limit.</summary>
    public Task StopProducersAsync(TimeSpan limit) => Task.WhenAll(_producers.Select(producer => producer.StopAsync(limit)));

    public async ValueTask DisposeAsync()
    {
        foreach (GroupReader group in _groups)
            await group.DisposeAsync();

        foreach (PacedProducer producer in _producers)
            await producer.DisposeAsync();

        if (_native is not null)
            await _native.DisposeAsync();
    }

    private void AddProducer(
        ProducerLedger ledger, ChaosTopic topic, int perSecond, Journal journal, Action<int, DateTime>? onAcknowledged)
    {
        PacedProducer producer = ledger.Client == Native
            ? new NativeProducer(_native!.Client, topic, ledger, Meter, journal)
            : new KafkaProducer(topic, ledger, Meter, journal, onAcknowledged);
        _producers.Add(producer);
        producer.Start(perSecond);
    }

    private async Task AddGroupsAsync(Cluster cluster, ChaosTopic topic, bool withNative, Journal journal)
    {
        await Chaos.KafkaGroup.CommitStartAsync(KafkaGroup, topic);
        _groups.Add(new KafkaGroup(KafkaGroup, topic, Reading, journal));
        if (withNative)
        {
            await Chaos.KafkaGroup.CommitStartAsync(NativeGroup, topic);
            _native = await NativeConnection.ConnectAsync(cluster, journal);
            _groups.Add(new NativeGroup(_native.Client, NativeGroup, topic, Reading, journal));
        }

        foreach (GroupReader group in _groups)
            group.Start();
    }
}
