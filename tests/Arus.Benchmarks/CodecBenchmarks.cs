using System.Text;
using Arus.Compression;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace Arus.Benchmarks;

/// <summary>What the codecs do with the payload of one batch: small JSON values with keys, which compress two to three times.</summary>
[MemoryDiagnoser]
public class CodecBenchmarks
{
    private readonly PooledBufferWriter _output = new();
    private byte[] _payload = [];
    private byte[] _compressed = [];

    [Params(CompressionType.Gzip, CompressionType.Snappy, CompressionType.Lz4, CompressionType.Zstd)]
    public CompressionType Type { get; set; }

    [Params(16 * 1024, 1024 * 1024)]
    public int Bytes { get; set; }

    internal static Task RunAsync(string[] args)
    {
        BenchmarkRunner.Run<CodecBenchmarks>(
            DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance)), args);
        return Task.CompletedTask;
    }

    [GlobalSetup]
    public void Build()
    {
        _payload = Payload(Bytes);
        Compress();
        _compressed = _output.WrittenSpan.ToArray();
    }

    [Benchmark]
    public void Compress()
    {
        _output.Clear();
        Codec.Compress(Type, _payload, _output);
    }

    [Benchmark]
    public ValidationResult Decompress()
    {
        _output.Clear();
        return Codec.TryDecompress(Type, _compressed, _output, Bytes);
    }

    private static byte[] Payload(int bytes)
    {
        var random = new Random(5);
        string[] actions = ["click", "view", "purchase", "scroll"];
        using var builder = new RecordBatchBuilder(2 * bytes);
        while (builder.SizeInBytes < bytes + 1024)
        {
            string value = $"{{\"id\":{random.Next(1_000_000)},\"user\":\"user-{random.Next(5_000)}\","
                + $"\"action\":\"{actions[random.Next(4)]}\","
                + $"\"amount\":{random.NextDouble():F4},\"tag\":\"{random.Next():X8}\"}}";
            builder.Append(builder.Count, Encoding.UTF8.GetBytes($"key-{random.Next(1_000)}"), Encoding.UTF8.GetBytes(value));
        }

        return builder.Records[..bytes].ToArray();
    }
}
