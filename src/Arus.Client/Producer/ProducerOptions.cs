using static Arus.Client.OptionChecks;

namespace Arus.Client;

/// <summary>When a produced record counts as delivered (Kafka's <c>acks</c>).</summary>
public enum Acks : short
{
    /// <summary>When it was sent: the fastest, and records may be lost without an error.</summary>
    None = 0,

    /// <summary>When the leader has it, durable to the broker's configured degree.</summary>
    Leader = 1,

    /// <summary>When every in-sync replica has it.</summary>
    All = -1,
}

/// <summary>How a producer works. Names and meanings are those of Kafka's producer; each property names its key.</summary>
public sealed record ProducerOptions
{
    /// <summary><c>client.id</c>: appears in traces and metrics.</summary>
    public string ClientId { get; init; } = "arus-producer";

    /// <summary><c>acks</c>.</summary>
    public Acks Acks { get; init; } = Acks.All;

    /// <summary><c>enable.idempotence</c>: retries neither duplicate nor reorder. Null means on, where <see cref="Acks"/> is All.</summary>
    public bool? EnableIdempotence { get; init; }

    /// <summary>
    /// <c>transactional.id</c>: names the producer over restarts, so that its successor fences it; no two that work at the same time may
    /// have the same. Null for a producer without transactions.
    /// </summary>
    public string? TransactionalId { get; init; }

    /// <summary><c>transaction.timeout.ms</c>: a transaction that is open for longer is aborted by its coordinator.</summary>
    public TimeSpan TransactionTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary><c>linger.ms</c>: how long an unfilled batch waits for records; 0 sends once the batch before is acknowledged.</summary>
    public TimeSpan Linger { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary><c>batch.size</c> in bytes, before compression. Above Kafka's 16 KiB: memory is taken as it is filled, not ahead.</summary>
    public int BatchSize { get; init; } = 64 * 1024;

    /// <summary><c>max.request.size</c> in bytes: of one call to a partition, and so of one record.</summary>
    public int MaxRequestSize { get; init; } = 1024 * 1024;

    /// <summary><c>buffer.memory</c> in bytes: of all records not acknowledged yet. Beyond it, enqueueing waits.</summary>
    public long BufferMemory { get; init; } = 32 * 1024 * 1024;

    /// <summary><c>max.block.ms</c>: how long enqueueing waits for the topic's metadata or for room in the buffer.</summary>
    public TimeSpan MaxBlock { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary><c>compression.type</c>.</summary>
    public CompressionType Compression { get; init; } = CompressionType.None;

    /// <summary><c>retries</c>: bounded by <see cref="DeliveryTimeout"/> anyhow.</summary>
    public int Retries { get; init; } = int.MaxValue;

    /// <summary><c>retry.backoff.ms</c>: the first pause; it doubles up to <see cref="RetryBackoffMax"/>.</summary>
    public TimeSpan RetryBackoff { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary><c>retry.backoff.max.ms</c>.</summary>
    public TimeSpan RetryBackoffMax { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary><c>request.timeout.ms</c>: how long the leader waits for its replicas.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary><c>delivery.timeout.ms</c>: a record that is not acknowledged by then has failed.</summary>
    public TimeSpan DeliveryTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary><c>metadata.max.age.ms</c>: how soon new partitions of a topic are noticed.</summary>
    public TimeSpan MetadataMaxAge { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary><c>partitioner.class</c>; null for Kafka's default: murmur2 of the key, sticky without one.</summary>
    public IPartitioner? Partitioner { get; init; }

    internal bool IsIdempotent => EnableIdempotence ?? (Acks == Acks.All);

    /// <exception cref="ArgumentException">The message names the option.</exception>
    internal void Validate()
    {
        Check(BatchSize is > 0 and <= 64 * 1024 * 1024, "batch.size", "from 1 byte to 64 MiB");
        Check(MaxRequestSize is > 0 and <= 64 * 1024 * 1024, "max.request.size", "from 1 byte to 64 MiB");
        Check(BufferMemory > 0, "buffer.memory", "greater than 0");
        Check(Linger >= TimeSpan.Zero, "linger.ms", "0 or more");
        Check(MaxBlock >= TimeSpan.Zero, "max.block.ms", "0 or more");
        Check(Retries >= 0, "retries", "0 or more");
        Check(RetryBackoff >= TimeSpan.Zero && RetryBackoffMax >= RetryBackoff, "retry.backoff.max.ms", "no less than retry.backoff.ms");
        Check(RequestTimeout > TimeSpan.Zero && RequestTimeout.TotalMilliseconds <= int.MaxValue, "request.timeout.ms", "greater than 0");
        Check(DeliveryTimeout > Linger, "delivery.timeout.ms", "greater than linger.ms");
        Check(Enum.IsDefined(Compression), "compression.type", "none, gzip, snappy, lz4 or zstd");
        Check(Acks is Acks.None or Acks.Leader or Acks.All, "acks", "0, 1 or -1 (all)");
        Check(TransactionalId is null || TransactionalId.Length > 0, "transactional.id", "null or not empty");
        Check(TransactionalId is null || IsIdempotent, "enable.idempotence", "on with transactional.id");
        Check(
            TransactionTimeout > TimeSpan.Zero && TransactionTimeout.TotalMilliseconds <= int.MaxValue, "transaction.timeout.ms",
            "greater than 0");
        Check(EnableIdempotence != true || Acks == Acks.All, "enable.idempotence", "off unless acks is all");
    }
}
