using System.Diagnostics;
using Arus.Compression;

namespace Arus.Client;

internal sealed class Producer<TKey, TValue>(
    ProducerCore core, IRecordSerializer<TKey> keySerializer, IRecordSerializer<TValue> valueSerializer) : IProducer<TKey, TValue>
{
    /// <summary>A scratch buffer that has grown beyond this is given back.</summary>
    private const int MaxScratch = 1024 * 1024;

    [ThreadStatic]
    private static PooledBufferWriter? s_idleScratch;

    private volatile bool _isDisposed;

    private TransactionManager Transactions => core.Transactions
        ?? throw new InvalidOperationException("A producer without transactional.id has no transactions.");

    public ValueTask<PendingDelivery> EnqueueAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default)
    {
        using Activity? activity = ClientDiagnostics.StartSend(record.Topic, core.Options.ClientId);
        return EnqueueAsync(ClientDiagnostics.Inject(record, activity), spent: TimeSpan.Zero, cancellationToken);
    }

    public Task<DeliveryResult> ProduceAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default)
    {
        if (ClientDiagnostics.IsTracing)
            return ProduceTracedAsync(record, cancellationToken);

        ValueTask<PendingDelivery> enqueued;
        try
        {
            enqueued = EnqueueAsync(record, spent: TimeSpan.Zero, cancellationToken);
        }
        catch (Exception e)
        {
            enqueued = ValueTask.FromException<PendingDelivery>(e);
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
        using Activity? activity = ClientDiagnostics.StartSend(record.Topic, core.Options.ClientId);
        try
        {
            ValueTask<PendingDelivery> enqueued = EnqueueAsync(
                ClientDiagnostics.Inject(record, activity), spent: TimeSpan.Zero, cancellationToken);
            DeliveryResult result = await AwaitDeliveryAsync(enqueued, cancellationToken).ConfigureAwait(false);
            ClientDiagnostics.SetDelivered(activity, result);
            return result;
        }
        catch (Exception e) when (ClientDiagnostics.SetFailed(activity, e))
        {
            throw;
        }
    }

    public Task FlushAsync(CancellationToken cancellationToken = default) => core.FlushAsync().WaitAsync(cancellationToken);

    public Task InitTransactionsAsync(CancellationToken cancellationToken = default) => Transactions.InitAsync(cancellationToken);

    public void BeginTransaction() => Transactions.Begin();

    public Task SendOffsetsToTransactionAsync(
        IReadOnlyCollection<TopicPartitionOffset> offsets, ConsumerGroupMetadata consumer, CancellationToken cancellationToken = default) =>
        Transactions.SendOffsetsAsync(offsets, consumer, cancellationToken);

    public Task CommitTransactionAsync(CancellationToken cancellationToken = default) => Transactions.CommitAsync(cancellationToken);

    public Task AbortTransactionAsync(CancellationToken cancellationToken = default) => Transactions.AbortAsync(cancellationToken);

    /// <summary>
    /// Delivers what is in the buffer; after <see cref="ProducerOptions.DeliveryTimeout"/> all of it has an answer. An open transaction is
    /// aborted.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        _isDisposed = true;
        if (core.Transactions is { } transactions)
            await transactions.CloseAsync().ConfigureAwait(false);

        await FlushAsync().ConfigureAwait(false);
    }

    private ValueTask<PendingDelivery> EnqueueAsync(
        ProducerRecord<TKey, TValue> record, TimeSpan spent, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        cancellationToken.ThrowIfCancellationRequested();
        core.Transactions?.ThrowIfNotOpen();
        if (!core.TryGetTopic(record.Topic, out TopicAccumulator? topic))
            return AwaitTopicAsync(record, cancellationToken);

        PooledBufferWriter scratch = s_idleScratch ?? new PooledBufferWriter();
        s_idleScratch = null;
        scratch.Clear();
        int keyLength = Serialize("key", record.Key, keySerializer, scratch);
        int valueLength = Serialize("value", record.Value, valueSerializer, scratch);
        int size = SizeOf(keyLength, valueLength, record.Headers);
        if (!core.Budget.TryTake(size))
        {
            // The wait keeps the scratch; this thread gets another one next time.
            return AwaitRoomAsync(topic, record, scratch, keyLength, valueLength, size, spent, cancellationToken);
        }

        PendingDelivery pending = Append(topic, record, scratch, keyLength, valueLength, size);
        if (scratch.Capacity <= MaxScratch)
            s_idleScratch = scratch;
        else
            scratch.Dispose();

        return new ValueTask<PendingDelivery>(pending);
    }

    private async ValueTask<PendingDelivery> AwaitTopicAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken)
    {
        long start = core.Time.GetTimestamp();
        try
        {
            await core.GetTopicAsync(record.Topic, cancellationToken).AsTask()
                .WaitAsync(core.Options.MaxBlock, core.Time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            throw new ArusException(
                ErrorCode.RequestTimedOut,
                    $"Topic '{record.Topic}' was not found within max.block.ms ({core.Options.MaxBlock.TotalMilliseconds:0}).", e);
        }

        return await EnqueueAsync(record, core.Time.GetElapsedTime(start), cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<PendingDelivery> AwaitRoomAsync(
        TopicAccumulator topic, ProducerRecord<TKey, TValue> record, PooledBufferWriter scratch, int keyLength, int valueLength, int size,
        TimeSpan spent, CancellationToken cancellationToken)
    {
        using (scratch)
        {
            TimeSpan left = core.Options.MaxBlock - spent;
            try
            {
                // Queue for the bytes first, then flush: batches that linger hold the memory that is waited for.
                Task room = core.Budget.TakeAsync(size, left > TimeSpan.Zero ? left : TimeSpan.Zero, cancellationToken);
                core.Flush(outcomes: null);
                await room.ConfigureAwait(false);
            }
            catch (TimeoutException e)
            {
                throw new ArusException(
                    ErrorCode.RequestTimedOut,
                    $"The buffer had no room for {size} bytes within max.block.ms ({core.Options.MaxBlock.TotalMilliseconds:0}): "
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
            long timestampMs = (record.Timestamp ?? core.Time.GetUtcNow()).ToUnixTimeMilliseconds();
            return partition.Append(timestampMs, key, keyLength < 0, value, valueLength < 0, record.Headers, size);
        }
        catch
        {
            core.Budget.Release(size);
            throw;
        }
    }

    /// <returns>The number of bytes written; -1 for null.</returns>
    private static int Serialize<T>(string part, T? data, IRecordSerializer<T> serializer, PooledBufferWriter scratch)
    {
        if (data is null)
            return -1;

        int before = scratch.WrittenCount;
        try
        {
            serializer.Serialize(data, scratch);
            return scratch.WrittenCount - before;
        }
        catch (Exception e)
        {
            throw new RecordSerializationException($"A {part} of type {typeof(T)} could not be serialized: {e.Message}", e);
        }
    }

    private int SizeOf(int keyLength, int valueLength, RecordHeader[]? headers)
    {
        int size = RecordBatchBuilder.EstimateRecordSize(keyLength, valueLength, headers);
        return size + RecordBatchHeader.Size <= Math.Min(core.Options.MaxRequestSize, core.Options.BufferMemory)
            ? size
            : throw new ArusException(
                ErrorCode.MessageTooLarge,
                $"A record takes up to {size + RecordBatchHeader.Size} bytes, more than max.request.size ({core.Options.MaxRequestSize}) "
                + $"or buffer.memory ({core.Options.BufferMemory}) allows.");
    }
}
