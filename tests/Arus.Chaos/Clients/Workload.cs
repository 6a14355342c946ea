namespace Arus.Chaos;

/// <summary>
/// What writes and reads during a run: a producer of each kind, which share the rate, and a consumer group of each kind. The native ones
/// are there when the cluster is one of Arus.
/// </summary>
internal sealed class Workload : IAsyncDisposable
{
    private const string Idempotent = "librdkafka idempotent";
    private const string Default = "librdkafka default";
    private const string Native = "Arus.Client";

    private readonly List<PacedProducer> _producers = [];
    private readonly List<GroupReader> _groups = [];
    private NativeConnection? _native;

    private Workload(AvailabilityMeter meter) => Meter = meter;

    public AvailabilityMeter Meter { get; }

    public IReadOnlyList<GroupReader> Groups => _groups;

    public IReadOnlyList<ProducerLedger> Ledgers => [.. _producers.Select(producer => producer.Ledger)];

    /// <param name="withNative">Whether Arus.Client takes part.</param>
    public static async Task<Workload> StartAsync(Cluster cluster, ChaosTopic topic, int perSecond, bool withNative, Journal journal)
    {
        string[] clients = withNative ? [Idempotent, Default, Native] : [Idempotent, Default];
        var workload = new Workload(new AvailabilityMeter(TimeProvider.System, clients, topic.Partitions));
        try
        {
            await workload.AddGroupsAsync(cluster, topic, withNative, journal);
            for (ushort i = 0; i < clients.Length; i++)
            {
                var ledger = new ProducerLedger((ushort)(i + 1), clients[i], clients[i] != Default, topic.Partitions);
                workload.AddProducer(ledger, topic, perSecond / clients.Length, journal);
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

    private void AddProducer(ProducerLedger ledger, ChaosTopic topic, int perSecond, Journal journal)
    {
        PacedProducer producer = ledger.Client == Native
            ? new NativeProducer(_native!.Client, topic, ledger, Meter, journal)
            : new KafkaProducer(topic, ledger, Meter, journal);
        _producers.Add(producer);
        producer.Start(perSecond);
    }

    private async Task AddGroupsAsync(Cluster cluster, ChaosTopic topic, bool withNative, Journal journal)
    {
        const string KafkaName = "group of librdkafka";
        const string NativeName = "group of Arus.Client";
        await KafkaGroup.CommitStartAsync(KafkaName, topic);
        _groups.Add(new KafkaGroup(KafkaName, topic, journal));
        if (withNative)
        {
            await KafkaGroup.CommitStartAsync(NativeName, topic);
            _native = await NativeConnection.ConnectAsync(cluster, journal);
            _groups.Add(new NativeGroup(_native.Client, NativeName, topic, journal));
        }

        foreach (GroupReader group in _groups)
            group.Start();
    }
}
