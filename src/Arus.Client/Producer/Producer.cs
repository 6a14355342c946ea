using System.Diagnostics;
using Arus.Compression;

namespace Arus.Client;

internal sealed class Producer<TKey, TValue> : IProducer<TKey, TValue>
{
    /// <summary>A scratch buffer that has grown beyond this is given back.</summary>
    private const int MaxScratch = 1024 * 1024;

    [ThreadStatic]
    private static PooledBufferWriter? s_idleScratch;

    private readonly ProducerCore _core;
    private readonly IRecordSerializer<TKey> _keySerializer;
    private readonly IRecordSerializer<TValue> _valueSerializer;
    private volatile bool _isDisposed;

    public Producer(ProducerCore core, IRecordSerializer<TKey> keySerializer, IRecordSerializer<TValue> valueSerializer)
    {
        _core = core;
        _keySerializer = keySerializer;
        _valueSerializer = valueSerializer;
    }

    public ValueTask<PendingDelivery> EnqueueAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default)
    {
        using Activity? activity = ClientDiagnostics.StartSend(record.Topic, _core.Options.ClientId);
        return EnqueueAsync(ClientDiagnostics.Inject(record, activity), spent: TimeSpan.Zero, cancellationToken);
    }

    public Task<DeliveryResult> ProduceAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default)
    {
        if (ClientDiagnostics.IsTracing)
        {
            return ProduceTracedAsync(record, cancellationToken);
        }

        ValueTask<PendingDelivery> enqueued;
        try
        {
            enqueued = EnqueueAsync(record, spent: TimeSpan.Zero, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<DeliveryResult>(cancellationToken);
        }
        catch (Exception e)
        {
            return Task.FromException<DeliveryResult>(e);
        }

        // As a rule the record is in the buffer by now, and the task that is returned is all that the call allocates.
        return enqueued.IsCompletedSuccessfully
            ? enqueued.Result.GetResultAsync(cancellationToken).AsTask()
            : AwaitDeliveryAsync(enqueued, cancellationToken);
    }

    private static async Task<DeliveryResult> AwaitDeliveryAsync(ValueTask<PendingDelivery> enqueued, CancellationToken cancellationToken)
    {
        PendingDelivery pending = await enqueued.ConfigureAwait(false);
        return await pending.GetResultAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task<DeliveryResult> ProduceTracedAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken)
    {
        using Activity? activity = ClientDiagnostics.StartSend(record.Topic, _core.Options.ClientId);
        try
        {
            PendingDelivery pending = await EnqueueAsync(
                ClientDiagnostics.Inject(record, activity), spent: TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
            DeliveryResult result = await pending.GetResultAsync(cancellationToken).ConfigureAwait(false);
            ClientDiagnostics.SetDelivered(activity, result);
            return result;
        }
        catch (Exception e) when (ClientDiagnostics.SetFailed(activity, e))
        {
            throw;
        }
    }

    public async Task FlushAsync(CancellationToken cancellationToken = default)
    {
        var outcomes = new List<Task>();
        _core.Flush(outcomes);
        await Task.WhenAll(outcomes).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Delivers what is in the buffer; after <see cref="ProducerOptions.DeliveryTimeout"/> all of it has an answer.</summary>
    public async ValueTask DisposeAsync()
    {
        _isDisposed = true;
        await FlushAsync().ConfigureAwait(false);
    }

    private ValueTask<PendingDelivery> EnqueueAsync(
        ProducerRecord<TKey, TValue> record, TimeSpan spent, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        cancellationToken.ThrowIfCancellationRequested();
        if (!_core.TryGetTopic(record.Topic, out TopicAccumulator? topic))
        {
            return AwaitTopicAsync(record, cancellationToken);
        }

        PooledBufferWriter scratch = s_idleScratch ?? new PooledBufferWriter();
        s_idleScratch = null;
        scratch.Clear();
        int keyLength = SerializeKey(record.Key, scratch);
        int valueLength = SerializeValue(record.Value, scratch);
        int size = SizeOf(keyLength, valueLength, record.Headers);
        if (!_core.Budget.TryTake(size))
        {
            // The wait keeps the scratch; this thread gets another one next time.
            return AwaitRoomAsync(topic, record, scratch, keyLength, valueLength, size, spent, cancellationToken);
        }

        PendingDelivery pending = Append(topic, record, scratch, keyLength, valueLength, size);
        if (scratch.Capacity <= MaxScratch)
        {
            s_idleScratch = scratch;
        }
        else
        {
            scratch.Dispose();
        }

        return new ValueTask<PendingDelivery>(pending);
    }

    private async ValueTask<PendingDelivery> AwaitTopicAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken)
    {
        long start = _core.Time.GetTimestamp();
        try
        {
            await _core.GetTopicAsync(record.Topic, cancellationToken).AsTask()
                .WaitAsync(_core.Options.MaxBlock, _core.Time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            throw new ArusException(
                ErrorCode.RequestTimedOut,
                    $"Topic '{record.Topic}' was not found within max.block.ms ({_core.Options.MaxBlock.TotalMilliseconds:0}).", e);
        }

        return await EnqueueAsync(record, _core.Time.GetElapsedTime(start), cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<PendingDelivery> AwaitRoomAsync(
        TopicAccumulator topic, ProducerRecord<TKey, TValue> record, PooledBufferWriter scratch, int keyLength, int valueLength, int size,
        TimeSpan spent, CancellationToken cancellationToken)
    {
        using (scratch)
        {
            TimeSpan left = _core.Options.MaxBlock - spent;
            try
            {
                // Queue for the bytes first, then flush: batches that linger hold the memory that is waited for.
                Task room = _core.Budget.TakeAsync(size, left > TimeSpan.Zero ? left : TimeSpan.Zero, cancellationToken);
                _core.Flush(outcomes: null);
                await room.ConfigureAwait(false);
            }
            catch (TimeoutException e)
            {
                throw new ArusException(
                    ErrorCode.RequestTimedOut,
                    $"The buffer had no room for {size} bytes within max.block.ms ({_core.Options.MaxBlock.TotalMilliseconds:0}): "
                    + "records come faster than they are acknowledged; see buffer.memory.", e);
            }

            return Append(topic, record, scratch, keyLength, valueLength, size);
        }
    }

    private PendingDelivery Append(
        TopicAccumulator topic, in ProducerRecord<TKey, TValue> record, PooledBufferWriter scratch, int keyLength, int valueLength,
        int size)
    {
        try
        {
            ReadOnlySpan<byte> bytes = scratch.WrittenSpan;
            ReadOnlySpan<byte> key = bytes[..Math.Max(0, keyLength)];
            ReadOnlySpan<byte> value = bytes[key.Length..];
            PartitionAccumulator partition = topic.Choose(record.Partition, key, keyLength < 0, value, size);
            long timestampMs = (record.Timestamp ?? _core.Time.GetUtcNow()).ToUnixTimeMilliseconds();
            return partition.Append(timestampMs, key, keyLength < 0, value, valueLength < 0, record.Headers, size);
        }
        catch
        {
            _core.Budget.Release(size);
            throw;
        }
    }

    private int SerializeKey(TKey? key, PooledBufferWriter scratch)
    {
        if (key is null)
        {
            return -1;
        }

        try
        {
            _keySerializer.Serialize(key, scratch);
            return scratch.WrittenCount;
        }
        catch (Exception e)
        {
            throw new RecordSerializationException($"A key of type {typeof(TKey)} could not be serialized: {e.Message}", e);
        }
    }

    private int SerializeValue(TValue? value, PooledBufferWriter scratch)
    {
        if (value is null)
        {
            return -1;
        }

        int before = scratch.WrittenCount;
        try
        {
            _valueSerializer.Serialize(value, scratch);
            return scratch.WrittenCount - before;
        }
        catch (Exception e)
        {
            throw new RecordSerializationException($"A value of type {typeof(TValue)} could not be serialized: {e.Message}", e);
        }
    }

    private int SizeOf(int keyLength, int valueLength, RecordHeader[]? headers)
    {
        int size = RecordBatchBuilder.EstimateRecordSize(keyLength, valueLength, headers);
        return size + RecordBatchHeader.Size <= Math.Min(_core.Options.MaxRequestSize, _core.Options.BufferMemory)
            ? size
            : throw new ArusException(
                ErrorCode.MessageTooLarge,
                $"A record takes up to {size + RecordBatchHeader.Size} bytes, more than max.request.size ({_core.Options.MaxRequestSize}) "
                + $"or buffer.memory ({_core.Options.BufferMemory}) allows.");
    }
}
