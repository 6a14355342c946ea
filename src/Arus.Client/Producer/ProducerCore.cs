using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Arus.Compression;
using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>What the partitions of one producer share. Thread-safe.</summary>
internal sealed class ProducerCore(
    IGrainFactory grains, SiloLosses losses, GrainRetry retry, TopicMetadata metadata, ProducerOptions options, TimeProvider time,
    ILogger logger)
{
    private readonly ConcurrentDictionary<string, TopicAccumulator> _topics = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<RecordBatchBuilder> _builders = [];
    private readonly Lock _gate = new();
    private readonly int _maxPooledBuilders = (int)Math.Clamp(options.BufferMemory / options.BatchSize, 1, 4096);
    private int _pooledBuilders;
    private Task<long>? _producerId;

    public IGrainFactory Grains { get; } = grains;

    public SiloLosses Losses { get; } = losses;

    public TopicMetadata Topics { get; } = metadata;

    public ProducerOptions Options { get; } = options;

    public TimeProvider Time { get; } = time;

    public ILogger Logger { get; } = logger;

    /// <summary>Null for a producer without a transactional id.</summary>
    public TransactionManager? Transactions { get; init; }

    public ByteBudget Budget { get; } = new(options.BufferMemory, time);

    /// <summary>The topic, unless it was last seen missing. The age of that knowledge is checked once for each batch.</summary>
    public bool TryGetTopic(string name, [NotNullWhen(true)] out TopicAccumulator? topic) =>
        _topics.TryGetValue(name, out topic) && topic.IsKnown;

    public async ValueTask<TopicAccumulator> GetTopicAsync(string name, CancellationToken cancellationToken)
    {
        Grains.TopicDescription description = await Topics.GetAsync(name, Options.MetadataMaxAge, cancellationToken).ConfigureAwait(false);
        TopicAccumulator topic = _topics.GetOrAdd(name, static (n, self) => new TopicAccumulator(self, n), this);
        topic.Grow(description.Partitions.Length);
        return topic;
    }

    /// <summary>One id for the producer; a fresh one for a partition that has used up all epochs.</summary>
    public Task<long> AllocateProducerIdAsync(bool fresh)
    {
        lock (_gate)
        {
            // A failed allocation is not kept: the next batch tries again.
            if (fresh || _producerId is null || _producerId.IsFaulted || _producerId.IsCanceled)
                _producerId = retry.CallAsync(() => Grains.GetGrain<IProducerIdGrain>(0).AllocateBlockAsync(1), CancellationToken.None);

            return _producerId;
        }
    }

    public ExponentialBackoff Backoff => new(Options.RetryBackoff, Options.RetryBackoffMax);

    public RecordBatchBuilder RentBuilder()
    {
        if (!_builders.TryTake(out RecordBatchBuilder? builder))
            return new RecordBatchBuilder();

        Interlocked.Decrement(ref _pooledBuilders);
        builder.Reset();
        return builder;
    }

    /// <summary>Only for a builder whose batch is not read any more.</summary>
    public void ReturnBuilder(RecordBatchBuilder builder)
    {
        if (Interlocked.Increment(ref _pooledBuilders) <= _maxPooledBuilders)
        {
            _builders.Add(builder);
        }
        else
        {
            Interlocked.Decrement(ref _pooledBuilders);
            builder.Dispose();
        }
    }

    /// <summary>Sends without lingering what there is now, and waits until all of it is answered.</summary>
    public Task FlushAsync()
    {
        var outcomes = new List<Task>();
        Flush(outcomes);
        return Task.WhenAll(outcomes);
    }

    /// <summary>Sends without lingering what there is now.</summary>
    public void Flush(List<Task>? outcomes)
    {
        foreach (TopicAccumulator topic in _topics.Values)
            topic.Flush(outcomes);
    }
}
