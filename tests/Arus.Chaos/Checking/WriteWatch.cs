using System.Collections.Concurrent;

namespace Arus.Chaos;

/// <summary>Knows, of each partition, when the newest acknowledged record was handed to the producer.</summary>
internal sealed class WriteWatch(Journal journal)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(20);

    private readonly ConcurrentDictionary<int, DateTime> _newest = new();

    /// <summary>To be told of every acknowledgement. Thread-safe.</summary>
    public void Acknowledged(int partition, DateTime sent) =>
        _newest.AddOrUpdate(partition, sent, (_, before) => sent > before ? sent : before);

    /// <summary>Seconds from a moment until each of these partitions has an acknowledged record that was sent after it.</summary>
    public async Task<double> WaitAsync(IEnumerable<int> partitions, DateTime since, CancellationToken stop)
    {
        double longest = 0;
        var waiting = new HashSet<int>(partitions);
        while (waiting.Count > 0)
        {
            double now = (DateTime.UtcNow - since).TotalSeconds;
            if (waiting.RemoveWhere(partition => _newest.TryGetValue(partition, out DateTime sent) && sent > since) > 0)
                longest = now;

            if (now > Limit.TotalSeconds)
            {
                journal.Find($"partitions {string.Join(',', waiting)} were not written to within {now:0} s");
                return now;
            }

            await Task.Delay(Poll, stop);
        }

        return longest;
    }
}
