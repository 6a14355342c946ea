namespace Arus.Chaos;

/// <summary>
/// A producer that offers so many records a second, spread evenly over the partitions, and never more at once than a second's worth: what
/// a cluster could not take in time is not made up for.
/// </summary>
internal abstract class PacedProducer : IAsyncDisposable
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);

    private readonly CancellationTokenSource _stop = new();
    private Task _running = Task.CompletedTask;

    protected PacedProducer(ChaosTopic topic, ProducerLedger ledger, AvailabilityMeter meter, Journal journal) =>
        (Topic, Ledger, Meter, Journal) = (topic, ledger, meter, journal);

    public ProducerLedger Ledger { get; }

    protected ChaosTopic Topic { get; }

    protected AvailabilityMeter Meter { get; }

    protected Journal Journal { get; }

    public void Start(int perSecond) => _running = Task.Run(() => RunAsync(perSecond));

    /// <summary>Offers nothing more, and waits until all that was offered is answered, but no longer than the limit.</summary>
    public async Task StopAsync(TimeSpan limit)
    {
        await _stop.CancelAsync();
        await _running;
        await FlushAsync(limit);
    }

    public virtual ValueTask DisposeAsync()
    {
        _stop.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Hands a record to the client; false when its buffer is full and the record was not taken.</summary>
    protected abstract ValueTask<bool> TrySendAsync(int partition, CancellationToken cancellationToken);

    protected abstract Task FlushAsync(TimeSpan limit);

    protected void Acknowledge(int partition, long sequence, long? offset)
    {
        Ledger.Acknowledge(partition, sequence, offset);
        Meter.Acknowledge(Ledger.Client, partition);
    }

    private async Task RunAsync(int perSecond)
    {
        long start = TimeProvider.System.GetTimestamp();
        long due = 0;
        int partition = 0;
        using var timer = new PeriodicTimer(Tick);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                long wanted = (long)(TimeProvider.System.GetElapsedTime(start).TotalSeconds * perSecond);
                due = Math.Max(due, wanted - perSecond);
                for (; due < wanted; due++)
                {
                    if (!await TrySendAsync(partition, _stop.Token))
                        break;

                    partition = (partition + 1) % Topic.Partitions;
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            Journal.Detail($"{Ledger.Client} was told to stop");
        }
        catch (Exception e)
        {
            Journal.Find($"producer {Ledger.Client} ended: {e.GetType().Name}: {e.Message}");
        }
    }
}
