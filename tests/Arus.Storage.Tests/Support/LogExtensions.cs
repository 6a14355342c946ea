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
