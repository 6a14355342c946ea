namespace Arus.Storage.Tests;

internal static class LogExtensions
{
    public static TopicConfig Config(params (string Key, string Value)[] values)
    {
        foreach ((string key, string value) in values)
            Assert.Null(TopicConfigs.Validate(key, value));

        return TopicConfig.Resolve(values.ToDictionary(pair => pair.Key, pair => pair.Value), BrokerConfig.Default);
    }

    public static async Task<LogAppendResult> AppendOneAsync(this IPartitionLog log, ReadOnlyMemory<byte> entry, int epoch = 1) =>
        (await log.AppendAsync([entry], epoch))[0];

    public static async Task<long> MustAppendAsync(this IPartitionLog log, ReadOnlyMemory<byte> entry, int epoch = 1)
    {
        LogAppendResult result = await log.AppendOneAsync(entry, epoch);
        Assert.True(result.Error == ErrorCode.None, result.Message);
        return result.BaseOffset;
    }

    /// <summary>Appends a batch of a transaction as its coordinator has allowed it.</summary>
    public static async Task<LogAppendResult> AppendTransactionalAsync(this IPartitionLog log, ReadOnlyMemory<byte> batch, int epoch = 1)
    {
        (long id, short producerEpoch, int sequence) = ProducerOf(batch);
        VerificationGuard? guard = await log.BeginVerificationAsync(id, producerEpoch, sequence, beginsAtZero: false);
        return (await log.AppendAsync([batch], epoch, guard: guard))[0];
    }

    /// <summary>Appends records of a producer's transaction under the sequence that comes next; answers their offset.</summary>
    public static async Task<long> WriteAsync(this IPartitionLog log, long producerId, short epoch, params string[] values)
    {
        LogProducer known = (await log.DescribeProducersAsync()).FirstOrDefault(one => one.ProducerId == producerId);
        int sequence = known.ProducerId == producerId && known.Epoch == epoch ? known.LastSequence + 1 : 0;
        LogAppendResult result = await log.AppendTransactionalAsync(Batches.Transactional(producerId, epoch, sequence, values));
        Assert.True(result.Error == ErrorCode.None, result.Message);
        return result.BaseOffset;
    }

    /// <summary>Ends a producer's transaction as its coordinator does; answers the marker's offset.</summary>
    public static async Task<long> EndAsync(this IPartitionLog log, long producerId, short epoch, bool commit, int leaderEpoch = 1)
    {
        LogAppendResult result = await log.EndTransactionAsync(new LogMarker(producerId, epoch, 0, commit, 1), leaderEpoch);
        Assert.True(result.Error == ErrorCode.None, result.Message);
        return result.BaseOffset;
    }

    /// <summary>The values that a consumer gets which reads committed records only, as Kafka's clients tell them.</summary>
    public static async Task<List<string?>> ReadCommittedAsync(this IPartitionLog log, long offset = -1, int maxBytes = 400)
    {
        var values = new List<string?>();
        long next = offset < 0 ? log.LogStartOffset : offset;
        while (next < log.LastStableOffset)
        {
            LogReadResult read = await log.ReadAsync(next, maxBytes, minOneBatch: true, LogReadLimit.LastStable);
            Assert.Equal(ErrorCode.None, read.Error);
            List<ReadOnlyMemory<byte>> batches = [.. read.Records.SelectMany(BatchSlicing.Split)];
            if (batches.Count == 0)
                break;

            long end = new RecordBatchHeader(batches[^1].Span).NextOffset;
            LogAbortedTransaction[] aborted = await log.FindAbortedAsync(next, end);
            var filter = new CleanedTransactions(aborted);
            foreach (ReadOnlyMemory<byte> batch in batches)
            {
                var header = new RecordBatchHeader(batch.Span);
                if (header.IsControl)
                    filter.IsMarkerOfNothing(batch.Span, out _);
                else if (!filter.IsAborted(header))
                    values.AddRange(Batches.Records([batch]).Where(record => record.Offset >= next).Select(record => record.Value));
            }

            next = end;
        }

        return values;
    }

    private static (long Id, short Epoch, int Sequence) ProducerOf(ReadOnlyMemory<byte> batch)
    {
        var header = new RecordBatchHeader(batch.Span);
        return (header.ProducerId, header.ProducerEpoch, header.BaseSequence);
    }

    /// <summary>Everything from an offset to the high watermark, read in pieces.</summary>
    public static async Task<List<(long Offset, string? Key, string? Value)>> ReadAllAsync(
        this IPartitionLog log, long offset = -1, int maxBytes = 64 * 1024)
    {
        var records = new List<(long Offset, string? Key, string? Value)>();
        long next = offset < 0 ? log.LogStartOffset : offset;
        while (next < log.HighWatermark)
        {
            LogReadResult result = await log.ReadAsync(next, maxBytes, minOneBatch: true);
            Assert.Equal(ErrorCode.None, result.Error);
            if (result.Records.Length == 0)
                break;

            records.AddRange(Batches.Records(result.Records).Where(record => record.Offset >= next));
            long after = result.Records.SelectMany(Headers).Max();
            Assert.True(after > next);
            next = after;
        }

        return records;
    }

    public static async Task<List<string?>> ReadValuesAsync(this IPartitionLog log, long offset = -1) =>
        [.. (await log.ReadAllAsync(offset)).Select(record => record.Value)];

    private static IEnumerable<long> Headers(ReadOnlyMemory<byte> slice)
    {
        while (!slice.IsEmpty)
        {
            RecordBatches.TryReadNext(ref slice, int.MaxValue, out ReadOnlyMemory<byte> batch, out _);
            yield return new RecordBatchHeader(batch.Span).NextOffset;
        }
    }
}
