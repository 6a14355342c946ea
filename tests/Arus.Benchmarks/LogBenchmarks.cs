using System.Diagnostics;
using System.Globalization;
using Arus.Compression;
using Arus.Storage;

namespace Arus.Benchmarks;

/// <summary>
/// The log against writing the same bytes plainly to a file, with an fsync after the same number of bytes. Each pair is run several times,
/// one after the other, and the median of the ratios counts, because the disk's speed varies from minute to minute.
/// </summary>
internal static class LogBenchmarks
{
    private const int Rounds = 5;

    public static async Task RunAsync(string[] args)
    {
        string root = args.Length > 0 ? args[0] : Path.Combine(Path.GetTempPath(), $"arus-bench-{Environment.ProcessId}");
        Directory.CreateDirectory(root);
        Console.WriteLine(
            $"{"flush",-7} {"record",7} {"batch",8} {"total",7} | {"plain MB/s",10} {"append MB/s",11} {"ratio",6} {"B/batch",8} | " +
            $"{"plain MB/s",10} {"cold MB/s",9} {"ratio",6} {"B/batch",8} | {"tail MB/s",9} {"B/batch",8}");
        try
        {
            foreach (FlushPolicy flush in new[] { FlushPolicy.Os, FlushPolicy.Always })
            {
                foreach (int record in new[] { 100, 1024 })
                {
                    foreach (int batch in new[] { 16 << 10, 1 << 20 })
                        await MeasureAsync(root, flush, record, batch);
                }
            }
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    /// <summary>What an idle partition costs: opens many, appends to each once, and counts bytes.</summary>
    public static async Task IdleAsync(string[] args)
    {
        int count = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 100_000;
        await using var provider = LogProvider.InMemory();
        TopicConfig config = TopicConfig.Resolve(new Dictionary<string, string>(), BrokerConfig.Default);
        var logs = new List<IPartitionLog>(count);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
            logs.Add(await provider.OpenAsync(new TopicPartition("idle", i), Guid.Empty, config));

        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        long bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
        Console.WriteLine($"{count} logs opened in {elapsed.TotalSeconds:F2} s, {bytes / count} bytes each");
        GC.KeepAlive(logs);
    }

    private static async Task MeasureAsync(string root, FlushPolicy flush, int recordSize, int batchSize)
    {
        // Group commits of about 1 MiB, as many producers together make them; each is one fsync on both sides.
        byte[] batch = BuildBatch(recordSize, batchSize);
        int perCommit = Math.Max(1, (1 << 20) / batch.Length);
        long total = flush.Mode == FlushMode.Always ? 128L << 20 : 512L << 20;
        int commits = (int)(total / (perCommit * (long)batch.Length));
        var writes = new List<(double Plain, double Log)>();
        var reads = new List<(double Plain, double Log)>();
        var tails = new List<double>();
        (long append, long cold, long tail) allocated = default;
        for (int round = 0; round < Rounds; round++)
        {
            string plain = Path.Combine(root, "plain");
            double plainWrite = WritePlain(plain, batch, perCommit, commits, flush.Mode == FlushMode.Always);
            double plainRead = ReadPlain(plain);
            File.Delete(plain);
            string logs = Path.Combine(root, "logs");
            (double logWrite, double coldRead, double tailRead, allocated) = await RunLogAsync(logs, flush, batch, perCommit, commits);
            Directory.Delete(logs, recursive: true);
            writes.Add((plainWrite, logWrite));
            reads.Add((plainRead, coldRead));
            tails.Add(tailRead);
        }

        int batches = perCommit * commits;
        Console.WriteLine(
            $"{flush,-7} {recordSize,7} {batchSize / 1024,4} KiB {commits * (long)perCommit * batch.Length >> 20,3} MiB | " +
            $"{Median(writes.Select(w => w.Plain)),10:F0} {Median(writes.Select(w => w.Log)),11:F0} " +
            $"{Median(writes.Select(w => w.Log / w.Plain)),6:F2} {allocated.append / batches,8} | " +
            $"{Median(reads.Select(r => r.Plain)),10:F0} {Median(reads.Select(r => r.Log)),9:F0} " +
            $"{Median(reads.Select(r => r.Log / r.Plain)),6:F2} {allocated.cold / batches,8} | " +
            $"{Median(tails),9:F0} {allocated.tail / batches,8}");
    }

    internal static byte[] BuildBatch(int recordSize, int batchSize)
    {
        using var builder = new RecordBatchBuilder(batchSize);
        byte[] value = new byte[recordSize - 10];
        new Random(1).NextBytes(value);
        while (builder.SizeInBytes + recordSize <= batchSize)
            builder.Append(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), null, value);

        return builder.Build(new RecordBatchOptions()).ToArray();
    }

    private static double WritePlain(string path, byte[] batch, int perCommit, int commits, bool sync)
    {
        ReadOnlyMemory<byte>[] buffers = [.. Enumerable.Repeat(new ReadOnlyMemory<byte>(batch), perCommit)];
        long start = Stopwatch.GetTimestamp();
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite);
        for (int i = 0; i < commits; i++)
        {
            RandomAccess.Write(file, buffers, (long)i * perCommit * batch.Length);
            if (sync)
                RandomAccess.FlushToDisk(file);
        }

        return Speed((long)commits * perCommit * batch.Length, start);
    }

    private static double ReadPlain(string path)
    {
        byte[] buffer = new byte[1 << 20];
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle(path);
        long start = Stopwatch.GetTimestamp();
        long position = 0;
        for (int read; (read = RandomAccess.Read(file, buffer, position)) > 0;)
            position += read;

        return Speed(position, start);
    }

    private static async Task<(double Write, double Cold, double Tail, (long, long, long) Allocated)> RunLogAsync(
        string directory, FlushPolicy flush, byte[] batch, int perCommit, int commits)
    {
        var options = new LogProviderOptions { Directory = directory, Flush = flush, CacheBytes = 64L << 20 };
        TopicConfig config = TopicConfig.Resolve(
            new Dictionary<string, string> { ["max.message.bytes"] = "10000000" }, BrokerConfig.Default);
        var partition = new TopicPartition("bench", 0);
        long bytes = (long)commits * perCommit * batch.Length;
        double write;
        double tail;
        long appendAllocated;
        long tailAllocated;
        await using (var provider = new LogProvider(options))
        {
            IPartitionLog log = await provider.OpenAsync(partition, Guid.Empty, config);
            ReadOnlyMemory<byte>[] entries = [.. Enumerable.Repeat(new ReadOnlyMemory<byte>(batch), perCommit)];
            await log.AppendAsync(entries, 1);
            await log.TruncateToAsync(0);
            long allocated = GC.GetTotalAllocatedBytes(precise: true);
            long start = Stopwatch.GetTimestamp();

            // Two calls under way, as a gateway that sends the next while the last is being written.
            ValueTask<LogAppendResult[]> before = log.AppendAsync(entries, 1);
            for (int i = 1; i < commits; i++)
            {
                ValueTask<LogAppendResult[]> next = log.AppendAsync(entries, 1);
                Check(await before);
                before = next;
            }

            Check(await before);
            write = Speed(bytes, start);
            appendAllocated = GC.GetTotalAllocatedBytes(precise: true) - allocated;

            // What the cache still holds: the last 32 MiB.
            long from = log.LogEndOffset - (log.LogEndOffset / Math.Max(1, bytes >> 25));
            allocated = GC.GetTotalAllocatedBytes(precise: true);
            start = Stopwatch.GetTimestamp();
            long tailBytes = await ReadAsync(log, from);
            tail = Speed(tailBytes, start);
            tailAllocated = (GC.GetTotalAllocatedBytes(precise: true) - allocated) * bytes / Math.Max(1, tailBytes);
        }

        await using (var provider = new LogProvider(options))
        {
            IPartitionLog log = await provider.OpenAsync(partition, Guid.Empty, config);
            long allocated = GC.GetTotalAllocatedBytes(precise: true);
            long start = Stopwatch.GetTimestamp();
            double cold = Speed(await ReadAsync(log, 0), start);
            return (write, cold, tail, (appendAllocated, GC.GetTotalAllocatedBytes(precise: true) - allocated, tailAllocated));
        }
    }

    private static void Check(LogAppendResult[] results)
    {
        if (results[0].Error != ErrorCode.None)
            throw new InvalidOperationException(results[0].Message);
    }

    private static async Task<long> ReadAsync(IPartitionLog log, long from)
    {
        long total = 0;
        while (from < log.HighWatermark)
        {
            LogReadResult read = await log.ReadAsync(from, 1 << 20, minOneBatch: true);
            foreach (ReadOnlyMemory<byte> slice in read.Records)
            {
                total += slice.Length;
                for (int at = 0; at < slice.Length;)
                {
                    var header = new RecordBatchHeader(slice.Span[at..]);
                    from = header.NextOffset;
                    at += header.SizeInBytes;
                }
            }
        }

        return total;
    }

    private static double Speed(long bytes, long start) => bytes / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e6;

    internal static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }
}
