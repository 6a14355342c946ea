using System.Text;
using Arus.Compression;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace Arus.Benchmarks;

/// <summary>
/// What a leader does with a producer's batch before it appends it: the CRC alone, and the CRC and a walk over every record, which
/// decompresses. Records of 1 KiB, half of which is noise.
/// </summary>
[MemoryDiagnoser]
public class ValidationBenchmarks
{
    private readonly PooledBufferWriter _scratch = new();
    private byte[] _batch = [];

    [Params(
        CompressionType.None, CompressionType.Gzip, CompressionType.Snappy, CompressionType.Lz4, CompressionType.Zstd)]
    public CompressionType Type { get; set; }

    [Params(16, 900)]
    public int Records { get; set; }

    internal static Task RunAsync(string[] args)
    {
        BenchmarkRunner.Run<ValidationBenchmarks>(
            DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance)), args);
        return Task.CompletedTask;
    }

    [GlobalSetup]
    public void Build()
    {
        var random = new Random(5);
        byte[] value = new byte[1024];
        Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("{\"user\":\"user-17\",\"action\":\"click\"}", 40)).AsSpan(0, 1024), value);
        using var builder = new RecordBatchBuilder();
        for (int i = 0; i < Records; i++)
        {
            random.NextBytes(value.AsSpan(0, 512));
            builder.Append(1_700_000_000_000 + i, null, value);
        }

        _batch = builder.Build(new RecordBatchOptions { Compression = Type }).ToArray();
    }

    [Benchmark(Baseline = true)]
    public ValidationResult Crc() => RecordBatches.ValidateBytes(_batch);

    [Benchmark]
    public ValidationResult CrcAndWalk()
    {
        var latest = new LatestTimestamp();
        ValidationResult result = RecordBatches.ValidateBytes(_batch);
        return result.IsOk ? RecordBatchPayload.Walk(_batch, _scratch, ref latest) : result;
    }

    private struct LatestTimestamp : IRecordVisitor
    {
        private long _delta;
        private bool _hasNullKeys;
        private bool _isMisnumbered;

        public bool Visit(int index, long timestampDelta, int offsetDelta, bool isKeyNull)
        {
            _delta = Math.Max(_delta, timestampDelta);
            _hasNullKeys |= isKeyNull;
            _isMisnumbered |= offsetDelta != index;
            return true;
        }
    }
}
