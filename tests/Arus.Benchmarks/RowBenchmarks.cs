using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Arus.Grains;
using Arus.Hosting.Tests;
using Arus.Storage;
using Arus.Storage.Rows;
using Arus.Testing;
using Npgsql;
using NpgsqlTypes;

namespace Arus.Benchmarks;

/// <summary>
/// Logs in the rows of a PostgreSQL beside logs in files, and beside plain inserts of rows of the same size: what the database itself can
/// do. A database of its own, with fsync, on the same disk. The three take turns, and the figures are medians.
/// </summary>
internal static class RowBenchmarks
{
    private const int BatchBytes = 16 << 10;

    /// <summary>Appends of one batch that a partition has under way when as much as possible is wanted.</summary>
    private const int Window = 64;

    /// <summary>Appends a second over all partitions when the time of each is wanted.</summary>
    private const int PacedRate = 100;

    /// <summary>Options: rounds (3), seconds of each measurement (2).</summary>
    public static async Task RunAsync(string[] args)
    {
        int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 3;
        double seconds = args.Length > 1 ? double.Parse(args[1], CultureInfo.InvariantCulture) : 2;
        Console.WriteLine(
            "| record | partitions | files records/s | p50 | p99 | rows records/s | p50 | p99 | CPU Arus | CPU database | bytes/row "
            + "| plain inserts records/s | CPU database | database bytes for a byte |");
        await using PostgresServer server = await PostgresServer.StartNewAsync(fsync: true);
        foreach (int record in new[] { 100, 1024 })
        {
            foreach (int partitions in new[] { 1, 12 })
                await MeasureAsync(server, record, partitions, rounds, TimeSpan.FromSeconds(seconds));
        }
    }

    private static async Task MeasureAsync(PostgresServer server, int record, int partitions, int rounds, TimeSpan time)
    {
        byte[] batch = LogBenchmarks.BuildBatch(record, BatchBytes);
        int records = new RecordBatchHeader(batch).Count;
        (List<Run> files, List<Run> rows, List<Run> plain) = ([], [], []);
        for (int round = 0; round < rounds; round++)
        {
            files.Add(await RunFilesAsync(batch, partitions, time));
            rows.Add(await RunRowsAsync(server, batch, partitions, time));
            plain.Add(await RunPlainAsync(server, (int)rows[^1].RowBytes, partitions, time));
        }

        double perByte = records / (double)batch.Length;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"| {record} B | {partitions} | {Of(files, r => r.Speed) * perByte:N0} "
            + $"| {Of(files, r => r.Median):F1} ms | {Of(files, r => r.P99):F1} ms | {Of(rows, r => r.Speed) * perByte:N0} "
            + $"| {Of(rows, r => r.Median):F1} ms | {Of(rows, r => r.P99):F1} ms | {Of(rows, r => r.OwnProcessors):F2} "
            + $"| {Of(rows, r => r.DatabaseProcessors):F2} | {Of(rows, r => r.RowBytes):N0} | {Of(plain, r => r.Speed) * perByte:N0} "
            + $"| {Of(plain, r => r.DatabaseProcessors):F2} | {Of(rows, r => r.StoredPerByte):F2} |"));

        static double Of(List<Run> runs, Func<Run, double> figure) => LogBenchmarks.Median(runs.Select(figure));
    }

    private static async Task<Run> RunFilesAsync(byte[] batch, int partitions, TimeSpan time)
    {
        string directory = Directory.CreateTempSubdirectory("arus-bench-").FullName;
        try
        {
            await using var provider = new LogProvider(new LogProviderOptions { Directory = directory, Flush = FlushPolicy.Always });
            IPartitionLog[] logs = await OpenAsync(provider, partitions);
            return await MeasureAsync(logs, batch, time, database: null);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task<Run> RunRowsAsync(PostgresServer server, byte[] batch, int partitions, TimeSpan time)
    {
        await using GrainDatabase database = await GrainDatabase.CreateAsync(server);
        await using var provider = new RowLogProvider(database.Storage, new RowLogOptions());
        IPartitionLog[] logs = await OpenAsync(provider, partitions);
        var processes = new DatabaseProcesses((int)(await ScalarAsync(database.Source, "SELECT pg_backend_pid()"))!);
        Run run = await MeasureAsync(logs, batch, time, processes);
        await ScalarAsync(database.Source, "CHECKPOINT");
        long stored = (long)(await ScalarAsync(database.Source, "SELECT pg_total_relation_size('arus_grain_state')"))!;
        foreach (IPartitionLog log in logs)
            await log.DisposeAsync();

        return run with { StoredPerByte = stored / (double)logs.Sum(log => log.SizeBytes) };
    }

    /// <summary>As many connections as partitions, each with the inserts of its rows one after the other.</summary>
    private static async Task<Run> RunPlainAsync(PostgresServer server, int rowBytes, int partitions, TimeSpan time)
    {
        await using GrainDatabase database = await GrainDatabase.CreateAsync(server);
        await ScalarAsync(database.Source, "CREATE TABLE plain (key text PRIMARY KEY, payload bytea)");
        await ScalarAsync(database.Source, "ALTER TABLE plain ALTER COLUMN payload SET STORAGE EXTERNAL");
        var processes = new DatabaseProcesses((int)(await ScalarAsync(database.Source, "SELECT pg_backend_pid()"))!);
        byte[] payload = new byte[rowBytes];
        new Random(1).NextBytes(payload);
        (double before, long start, long inserted) = (processes.ProcessorSeconds(), Stopwatch.GetTimestamp(), 0);
        await Task.WhenAll(Enumerable.Range(0, partitions).Select(partition => Task.Run(async () =>
        {
            await using NpgsqlConnection connection = await database.Source.OpenConnectionAsync();
            await using var insert = new NpgsqlCommand("INSERT INTO plain VALUES ($1, $2)", connection);
            insert.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Text });
            insert.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Bytea, Value = payload });
            for (int row = 0; Stopwatch.GetElapsedTime(start) < time; row++)
            {
                insert.Parameters[0].Value = $"{partition}/r{row:D20}";
                if (row == 0)
                    await insert.PrepareAsync();

                await insert.ExecuteNonQueryAsync();
                Interlocked.Add(ref inserted, rowBytes);
            }
        })));
        double elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new Run(inserted / elapsed, 0, 0) { DatabaseProcessors = (processes.ProcessorSeconds() - before) / elapsed };
    }

    private static async Task<IPartitionLog[]> OpenAsync(IPartitionLogProvider provider, int partitions)
    {
        TopicConfig config = TopicConfig.Resolve(new Dictionary<string, string>(), BrokerConfig.Default);
        var logs = new IPartitionLog[partitions];
        var topic = Guid.NewGuid();
        for (int i = 0; i < partitions; i++)
            logs[i] = await provider.OpenAsync(new TopicPartition("bench", i), topic, config, leaderEpoch: 1);

        return logs;
    }

    /// <summary>First how long an append takes when there are few, then how many there can be.</summary>
    private static async Task<Run> MeasureAsync(IPartitionLog[] logs, byte[] batch, TimeSpan time, DatabaseProcesses? database)
    {
        // What is compiled, planned and cached at first is not what is measured.
        await Task.WhenAll(logs.Select(log => SaturateAsync(log, batch, TimeSpan.FromMilliseconds(300))));
        double[] times = await PaceAsync(logs, batch, time);
        (long bytes, int rows) = (logs.Sum(log => log.SizeBytes), logs.Sum(log => log.SegmentCount));
        (double own, double others) = (OwnSeconds(), database?.ProcessorSeconds() ?? 0);
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(logs.Select(log => Task.Run(() => SaturateAsync(log, batch, time))));
        double elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        bytes = logs.Sum(log => log.SizeBytes) - bytes;
        rows = logs.Sum(log => log.SegmentCount) - rows;
        return new Run(bytes / elapsed, times[times.Length / 2], times[(int)(times.Length * 0.99)])
        {
            RowBytes = bytes / (double)Math.Max(1, rows),
            OwnProcessors = (OwnSeconds() - own) / elapsed,
            DatabaseProcessors = ((database?.ProcessorSeconds() ?? 0) - others) / elapsed,
        };
    }

    private static double OwnSeconds() => Environment.CpuUsage.TotalTime.TotalSeconds;

    private static async Task SaturateAsync(IPartitionLog log, byte[] batch, TimeSpan time)
    {
        long start = Stopwatch.GetTimestamp();
        var underWay = new Queue<Task<LogAppendResult[]>>();
        while (Stopwatch.GetElapsedTime(start) < time || underWay.Count > 0)
        {
            while (underWay.Count < Window && Stopwatch.GetElapsedTime(start) < time)
                underWay.Enqueue(log.AppendAsync([batch], 1).AsTask());

            if (underWay.TryDequeue(out Task<LogAppendResult[]>? append))
                Check(await append);
        }
    }

    private static async Task<double[]> PaceAsync(IPartitionLog[] logs, byte[] batch, TimeSpan time)
    {
        var times = new ConcurrentBag<double>();
        var appends = new List<Task>();
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1.0 / PacedRate));
        for (int i = 0; i < time.TotalSeconds * PacedRate; i++)
        {
            await timer.WaitForNextTickAsync();
            appends.Add(AppendAsync(logs[i % logs.Length]));
        }

        await Task.WhenAll(appends);
        return [.. times.Order()];

        async Task AppendAsync(IPartitionLog log)
        {
            long start = Stopwatch.GetTimestamp();
            Check(await log.AppendAsync([batch], 1));
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
    }

    private static void Check(LogAppendResult[] results)
    {
        if (results[0].Error != ErrorCode.None)
            throw new InvalidOperationException(results[0].Message);
    }

    private static async Task<object?> ScalarAsync(NpgsqlDataSource source, string sql)
    {
        await using NpgsqlCommand command = source.CreateCommand(sql);
        command.CommandTimeout = 60; // A checkpoint writes all that was inserted.
        return await command.ExecuteScalarAsync();
    }

    /// <param name="Speed">Bytes of batches a second.</param>
    /// <param name="Median">Of a paced append, in milliseconds.</param>
    private sealed record Run(double Speed, double Median, double P99)
    {
        public double RowBytes { get; init; }

        /// <summary>Processors busy in this process, clients and log together.</summary>
        public double OwnProcessors { get; init; }

        public double DatabaseProcessors { get; init; }

        public double StoredPerByte { get; init; }
    }
}
