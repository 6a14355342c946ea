using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Arus.Compression;
using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>What the partitions of one producer share. Thread-safe.</summary>
internal sealed class ProducerCore
{
    private readonly ConcurrentDictionary<string, TopicAccumulator> topics = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<RecordBatchBuilder> builders = [];
    private readonly Lock gate = new();
    private readonly GrainRetry retry;
    private readonly int maxPooledBuilders;
    private int pooledBuilders;
    private Task<long>? producerId;

    public ProducerCore(IGrainFactory grains, GrainRetry retry, TopicMetadata metadata, ProducerOptions options, TimeProvider time, ILogger logger)
    {
        Grains = grains;
        Topics = metadata;
        Options = options;
        Time = time;
        Logger = logger;
        this.retry = retry;
        Budget = new ByteBudget(options.BufferMemory, time);
        maxPooledBuilders = (int)Math.Clamp(options.BufferMemory / options.BatchSize, 1, 4096);
    }

    public IGrainFactory Grains { get; }

    public TopicMetadata Topics { get; }

    public ProducerOptions Options { get; }

    public TimeProvider Time { get; }

    public ILogger Logger { get; }

    public ByteBudget Budget { get; }

    /// <summary>The topic, unless it was last seen missing. How old that knowledge is, is looked at for each batch.</summary>
    public bool TryGetTopic(string name, [NotNullWhen(true)] out TopicAccumulator? topic) => topics.TryGetValue(name, out topic) && topic.IsKnown;

    public async ValueTask<TopicAccumulator> GetTopicAsync(string name, CancellationToken cancellationToken)
    {
        TopicDescription description = await Topics.GetAsync(name, Options.MetadataMaxAge, cancellationToken).ConfigureAwait(false);
        TopicAccumulator topic = topics.GetOrAdd(name, static (n, self) => new TopicAccumulator(self, n), this);
        topic.Grow(description.Partitions.Length);
        return topic;
    }

    /// <summary>One id for the producer; a fresh one for a partition that has used up all epochs.</summary>
    public Task<long> AllocateProducerIdAsync(bool fresh)
    {
        lock (gate)
        {
            // A failed allocation is not kept: the next batch tries again.
            if (fresh || producerId is null || producerId.IsFaulted || producerId.IsCanceled)
            {
                producerId = retry.CallAsync(() => Grains.GetGrain<IProducerIdGrain>(0).AllocateBlockAsync(1), CancellationToken.None);
            }

            return producerId;
        }
    }

    public TimeSpan Backoff(int attempt) => TimeSpan.FromTicks(
        (long)Math.Min(Options.RetryBackoff.Ticks * Math.Pow(2, Math.Min(30, attempt - 1)), Options.RetryBackoffMax.Ticks));

    public RecordBatchBuilder RentBuilder()
    {
        if (!builders.TryTake(out RecordBatchBuilder? builder))
        {
            return new RecordBatchBuilder();
        }

        Interlocked.Decrement(ref pooledBuilders);
        builder.Reset();
        return builder;
    }

    /// <summary>Only for a builder whose batch nobody reads any more.</summary>
    public void ReturnBuilder(RecordBatchBuilder builder)
    {
        if (Interlocked.Increment(ref pooledBuilders) <= maxPooledBuilders)
        {
            builders.Add(builder);
        }
        else
        {
            Interlocked.Decrement(ref pooledBuilders);
            builder.Dispose();
        }
    }

    /// <summary>A number below <paramref name="limit"/>, by chance.</summary>
    public int Draw(int limit) => Random.Shared.Next(limit);

    /// <summary>Sends without lingering what there is now.</summary>
    public void Hurry(List<Task>? outcomes)
    {
        foreach (TopicAccumulator topic in topics.Values)
        {
            topic.Hurry(outcomes);
        }
    }
}
