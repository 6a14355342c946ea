using Confluent.Kafka;

namespace Arus.Chaos;

/// <summary>librdkafka's producer with its defaults, or with idempotence and otherwise its defaults.</summary>
internal sealed class KafkaProducer : PacedProducer
{
    private readonly IProducer<Null, byte[]> _producer;
    private readonly Action<int, DateTime>? _onAcknowledged;

    /// <param name="onAcknowledged">
    /// Called with the partition of an acknowledged record and the time at which the record was handed to the client.
    /// </param>
    public KafkaProducer(
        ChaosTopic topic, ProducerLedger ledger, AvailabilityMeter meter, Journal journal, Action<int, DateTime>? onAcknowledged = null)
        : base(topic, ledger, meter, journal)
    {
        _onAcknowledged = onAcknowledged;
        var config = new ProducerConfig { BootstrapServers = topic.Bootstrap, ClientId = ledger.Client };
        if (ledger.IsIdempotent)
            config.EnableIdempotence = true;

        _producer = new ProducerBuilder<Null, byte[]>(config)
            .SetLogHandler((_, message) => journal.Detail($"{ledger.Client}: {message.Facility} {message.Message}"))
            .SetErrorHandler((_, error) =>
            {
                if (error.IsFatal)
                    journal.Find($"{ledger.Client} failed for good: {error.Code}: {error.Reason}");
                else
                    journal.Detail($"{ledger.Client}: {error.Code}: {error.Reason}");
            })
            .Build();
    }

    public override async ValueTask DisposeAsync()
    {
        _producer.Dispose();
        await base.DisposeAsync();
    }

    protected override ValueTask<bool> TrySendAsync(int partition, CancellationToken cancellationToken)
    {
        RecordId id = Ledger.Send(partition);
        DateTime sent = DateTime.UtcNow;
        try
        {
            _producer.Produce(
                new Confluent.Kafka.TopicPartition(Topic.Name, partition), new() { Value = ChaosRecord.Make(id, partition) },
                report => OnReport(report, partition, id.Sequence, sent));
            return ValueTask.FromResult(true);
        }
        catch (ProduceException<Null, byte[]> e)
        {
            Ledger.Fail(partition, id.Sequence);
            if (e.Error.Code != Confluent.Kafka.ErrorCode.Local_QueueFull)
                throw;

            return ValueTask.FromResult(false);
        }
    }

    protected override Task FlushAsync(TimeSpan limit) => Task.Run(() => _producer.Flush(limit));

    private void OnReport(DeliveryReport<Null, byte[]> report, int partition, long sequence, DateTime sent)
    {
        if (report.Error.IsError)
        {
            Journal.Detail($"{Ledger.Client}: {partition}:{sequence} failed: {report.Error.Code}, {report.Status}");
            Ledger.Fail(partition, sequence);
            return;
        }

        Acknowledge(partition, sequence, report.Offset.IsSpecial ? null : report.Offset.Value);
        _onAcknowledged?.Invoke(partition, sent);
    }
}
