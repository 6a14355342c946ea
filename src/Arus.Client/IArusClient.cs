namespace Arus.Client;

/// <summary>
/// The way into Arus from a process with an Orleans cluster client, or from inside a silo. Registered by <c>AddArusClient</c>.
/// Thread-safe; what it creates is owned, and disposed, by the caller.
/// </summary>
public interface IArusClient
{
    /// <summary>Topics, configuration, offsets, groups and the cluster.</summary>
    IArusAdmin Admin { get; }

    /// <summary>Makes a producer. It has its own buffer and its own producer id.</summary>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="keySerializer">Null for the built-in one of <typeparamref name="TKey"/> (see <see cref="Serializers"/>).</param>
    /// <param name="valueSerializer">Null for the built-in one of <typeparamref name="TValue"/>.</param>
    /// <exception cref="ArgumentException">An option is out of range, or options contradict each other; the message names it.</exception>
    /// <exception cref="NotSupportedException">There is no built-in serializer for a type.</exception>
    IProducer<TKey, TValue> CreateProducer<TKey, TValue>(
        ProducerOptions? options = null, IRecordSerializer<TKey>? keySerializer = null, IRecordSerializer<TValue>? valueSerializer = null);

    /// <summary>Makes a consumer; it reads nothing before it is given topics or partitions.</summary>
    /// <param name="options">Null for the defaults, without a group.</param>
    /// <param name="keySerializer">Null for the built-in one of <typeparamref name="TKey"/>.</param>
    /// <param name="valueSerializer">Null for the built-in one of <typeparamref name="TValue"/>.</param>
    /// <exception cref="ArgumentException">An option is out of range, or options contradict each other; the message names it.</exception>
    /// <exception cref="NotSupportedException">There is no built-in serializer for a type.</exception>
    IConsumer<TKey, TValue> CreateConsumer<TKey, TValue>(
        ConsumerOptions? options = null, IRecordSerializer<TKey>? keySerializer = null, IRecordSerializer<TValue>? valueSerializer = null);

    /// <summary>Makes a processor, which runs <paramref name="handler"/> for every record of a group's topics, many at once.</summary>
    /// <param name="keySerializer">Null for the built-in one of <typeparamref name="TKey"/>.</param>
    /// <param name="valueSerializer">Null for the built-in one of <typeparamref name="TValue"/>.</param>
    /// <exception cref="ArgumentException">An option is out of range, or options contradict each other; the message names it.</exception>
    IRecordProcessor CreateProcessor<TKey, TValue>(
        RecordProcessorOptions options, RecordHandler<TKey, TValue> handler,
        IRecordSerializer<TKey>? keySerializer = null, IRecordSerializer<TValue>? valueSerializer = null);
}
