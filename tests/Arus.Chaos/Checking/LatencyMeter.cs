namespace Arus.Chaos;

/// <summary>
/// How long records took from the hand-over to the client until the acknowledgement, since it was last asked. Thread-safe.
/// </summary>
internal sealed class LatencyMeter
{
    private readonly Lock _lock = new();
    private List<float> _milliseconds = [];

    public void Acknowledged(DateTime sent)
    {
        float milliseconds = (float)(DateTime.UtcNow - sent).TotalMilliseconds;
        lock (_lock)
            _milliseconds.Add(milliseconds);
    }

    /// <summary>The median and the 99th percentile in milliseconds; what comes later belongs to the next answer.</summary>
    public (double Median, double P99) Take()
    {
        List<float> taken;
        lock (_lock)
            (taken, _milliseconds) = (_milliseconds, []);

        taken.Sort();
        return taken.Count == 0 ? default : (taken[taken.Count / 2], taken[(int)(taken.Count * 0.99)]);
    }
}
