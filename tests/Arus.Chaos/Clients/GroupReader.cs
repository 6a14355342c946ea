namespace Arus.Chaos;

/// <summary>Members of a consumer group that read while there are faults, and remember what they were given.</summary>
internal abstract class GroupReader : IAsyncDisposable
{
    protected const int Members = 2;

    private static readonly TimeSpan PollPause = TimeSpan.FromMilliseconds(100);

    private readonly AvailabilityMeter _meter;

    protected GroupReader(string group, ChaosTopic topic, AvailabilityMeter meter, Journal journal)
    {
        (Group, Topic, _meter, Journal) = (group, topic, meter, journal);
        Served = new TopicContents(group, topic.Partitions);
    }

    public TopicContents Served { get; }

    protected string Group { get; }

    protected ChaosTopic Topic { get; }

    protected Journal Journal { get; }

    protected CancellationTokenSource Stop { get; } = new();

    protected Task[] Running { get; set; } = [];

    public abstract void Start();

    /// <summary>Waits until the group was given everything up to these offsets, then ends it. What it lacks, the checker finds.</summary>
    public async Task FinishAsync(TopicContents log, TimeSpan limit)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (Enumerable.Range(0, log.PartitionCount).Any(p => Served.End(p) < log.End(p)))
        {
            if (TimeProvider.System.GetElapsedTime(start) > limit)
            {
                Journal.Find($"{Group} did not reach the end of the topic within {limit.TotalSeconds:0} s");
                break;
            }

            await Task.Delay(PollPause);
        }

        await Stop.CancelAsync();
        await Task.WhenAll(Running);
    }

    protected void Receive(int partition, long offset, ReadOnlySpan<byte> value)
    {
        Served.Add(partition, offset, value);
        _meter.Acknowledge(Group, partition);
    }

    public virtual async ValueTask DisposeAsync()
    {
        await Stop.CancelAsync();
        await Task.WhenAll(Running);
        Stop.Dispose();
    }
}
