using System.Reflection;
using System.Threading.Channels;
using Arus.Client;

namespace Arus.Cli.Tests;

/// <summary>A producer and a consumer of it: what one enqueues the other polls.</summary>
internal sealed class Loopback
{
    private readonly Channel<byte[]> _records = Channel.CreateUnbounded<byte[]>();

    /// <summary>Records of one poll, unless the consumer wants fewer.</summary>
    public int MaxPollRecords { get; init; } = 1;

    /// <summary>A poll that finds nothing comes back without records, as when its time is over, instead of waiting.</summary>
    public bool EndsWhenEmpty { get; init; }

    /// <summary>Records enqueued so far.</summary>
    public int Enqueued { get; private set; }

    public IProducer<TKey, TValue> Producer<TKey, TValue>() => Stub<IProducer<TKey, TValue>>.Make((method, arguments) => method switch
    {
        "EnqueueAsync" => Enqueue(((ProducerRecord<byte[], byte[]>)arguments[0]!).Value!),
        "FlushAsync" => Task.CompletedTask,
        "DisposeAsync" => ValueTask.CompletedTask,
        _ => throw new NotSupportedException(method),
    });

    public IConsumer<TKey, TValue> Consumer<TKey, TValue>(ConsumerOptions? options) => Stub<IConsumer<TKey,
    TValue>>.Make((method, arguments) => method switch
    {
        "Assign" => null,
        "PollAsync" =>
            PollAsync<TKey, TValue>(Math.Min(MaxPollRecords, options?.MaxPollRecords ?? MaxPollRecords), (CancellationToken)arguments[1]!),
        "DisposeAsync" => ValueTask.CompletedTask,
        _ => throw new NotSupportedException(method),
    });

    private ValueTask<PendingDelivery> Enqueue(byte[] value)
    {
        Enqueued++;
        _records.Writer.TryWrite(value);
        return default;
    }

    private async ValueTask<IReadOnlyList<ConsumeResult<TKey, TValue>>> PollAsync<TKey,
    TValue>(int most, CancellationToken cancellationToken)
    {
        var results = new List<ConsumeResult<TKey, TValue>>();
        if (EndsWhenEmpty && _records.Reader.Count == 0)
            return results;

        byte[]? value = await _records.Reader.ReadAsync(cancellationToken);
        do
        {
            object typed = typeof(TValue) == typeof(byte[]) ? (object)value : (ReadOnlyMemory<byte>)value;
            results.Add(new(new TopicPartition("t", 0), 0, 0, 0, TimestampType.CreateTime, default, (TValue)typed, default));
        }
        while (results.Count < most && _records.Reader.TryRead(out value));
        return results;
    }
}

/// <summary>An interface as a function of a method's name and arguments.</summary>
#pragma warning disable CA1852 // The runtime derives from it.
internal class Stub<T> : DispatchProxy where T : class
#pragma warning restore CA1852
{
    private Func<string, object?[], object?> _handler = null!;

    public static T Make(Func<string, object?[], object?> handler)
    {
        object proxy = Create<T, Stub<T>>();
        ((Stub<T>)proxy)._handler = handler;
        return (T)proxy;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => _handler(targetMethod!.Name, args ?? []);
}
