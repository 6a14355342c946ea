using Arus.Grains;

namespace Arus.Kafka;

/// <summary>The brokers of the cluster, as of a moment ago. Safe for use by any thread.</summary>
internal sealed class ClusterCache(IGrainFactory grains, TimeProvider time, LocalBroker broker)
{
    /// <summary>How old an answer may be: short beside the time in which a dead silo is noticed.</summary>
    private static readonly TimeSpan MaxAge = TimeSpan.FromMilliseconds(500);

    private readonly Lock _lock = new();
    private Task<ClusterDescription>? _description;
    private long _fetchedAt;

    /// <summary>The cluster as the clients of a listener see it.</summary>
    /// <exception cref="Exception">What the grain call threw.</exception>
    public async ValueTask<ClusterView> ViewAsync(KafkaListener listener)
    {
        ClusterView view = ClusterView.Of(await GetAsync(), listener.Name);
        return broker.Config.GetString(BrokerConfigs.AdvertisedSingleAddress) is null ? view : view.At(listener.Advertised);
    }

    private Task<ClusterDescription> GetAsync()
    {
        lock (_lock)
        {
            bool usable = _description is { IsFaulted: false, IsCanceled: false } && time.GetElapsedTime(_fetchedAt) < MaxAge;
            if (!usable)
            {
                _description = grains.GetGrain<IClusterGrain>(0).DescribeAsync();
                _fetchedAt = time.GetTimestamp();
            }

            return _description!;
        }
    }
}
