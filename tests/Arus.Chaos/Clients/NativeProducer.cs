using Arus.Client;

namespace Arus.Chaos;

/// <summary>The producer of Arus.Client with its defaults, which are idempotent.</summary>
internal sealed class NativeProducer : PacedProducer
{
    private readonly IProducer<byte[], byte[]> _producer;
    private long _inFlight;

    public NativeProducer(IArusClient client, ChaosTopic topic, ProducerLedger ledger, AvailabilityMeter meter, Journal journal)
        : base(topic, ledger, meter, journal) => _producer = client.CreateProducer<byte[], byte[]>(new() { ClientId = ledger.Client });

    public override async ValueTask DisposeAsync()
    {
        await _producer.DisposeAsync();
        await base.DisposeAsync();
    }

    protected override async ValueTask<bool> TrySendAsync(int partition, CancellationToken cancellationToken)
    {
        RecordId id = Ledger.Send(partition);
        try
        {
            var record = new ProducerRecord<byte[], byte[]>(Topic.Name, null, ChaosRecord.Make(id, partition)) { Partition = partition };
            PendingDelivery delivery = await _producer.EnqueueAsync(record, cancellationToken);
            Interlocked.Increment(ref _inFlight);
            _ = AwaitAsync(delivery, partition, id.Sequence);
            return true;
        }
        catch (Exception e) when (e is ArusException or OperationCanceledException)
        {
            Ledger.Fail(partition, id.Sequence);
            Journal.Detail($"{Ledger.Client}: {partition}:{id.Sequence} was not taken: {e.Message}");
            return false;
        }
    }

    protected override async Task FlushAsync(TimeSpan limit)
    {
        try
        {
            await _producer.FlushAsync().WaitAsync(limit);
        }
        catch (TimeoutException)
        {
            Journal.Detail($"{Ledger.Client}: {Interlocked.Read(ref _inFlight)} records unanswered at the end");
        }
    }

    private async Task AwaitAsync(PendingDelivery delivery, int partition, long sequence)
    {
        try
        {
            DeliveryResult result = await delivery.GetResultAsync();
            Acknowledge(partition, sequence, result.Offset);
        }
        catch (ProduceException e)
        {
            Journal.Detail($"{Ledger.Client}: {partition}:{sequence} failed: {e.Code}: {e.Message}");
            Ledger.Fail(partition, sequence);
        }
        finally
        {
            Interlocked.Decrement(ref _inFlight);
        }
    }
}
