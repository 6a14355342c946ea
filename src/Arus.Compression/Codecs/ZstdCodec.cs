using System.Buffers;
using System.Collections.Concurrent;
using System.Numerics;
using ZstdSharp;
using ZstdSharp.Unsafe;

namespace Arus.Compression;

/// <summary>Zstandard frames (RFC 8878), at level 3, which is Kafka's default too.</summary>
internal static class ZstdCodec
{
    private const int DefaultLevel = 3;

    /// <summary>Beyond it, a context takes tens of MiB, and is not kept.</summary>
    private const int MaxKeptLevel = 9;

    /// <summary>Every decoder should take windows of 8 MiB (RFC 8878, section 3.1.1.1.2); encoders use them for small inputs too.</summary>
    private const int MinWindowLog = 23;
    private const int MaxWindowLog = 27;
    private const int MinChunk = 64 * 1024;
    private const int MaxChunk = 1024 * 1024;

    private static readonly ContextPool<Compressor> Compressors = new(() => new Compressor(DefaultLevel));
    private static readonly ContextPool<Decompressor> Decompressors = new(() => new Decompressor());

    public static void Compress(ReadOnlySpan<byte> source, PooledBufferWriter destination, int? level)
    {
        Compressor compressor = Compressors.Rent();
        try
        {
            compressor.Level = level ?? DefaultLevel;
            destination.Advance(compressor.Wrap(source, destination.GetSpan(Compressor.GetCompressBound(source.Length))));
        }
        finally
        {
            if (level > MaxKeptLevel)
                compressor.Dispose();
            else
                Compressors.Return(compressor);
        }
    }

    public static ValidationResult TryDecompress<TOutput>(ReadOnlySpan<byte> source, ref TOutput output, int maxOutput)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        Decompressor decompressor = Decompressors.Rent();
        bool isLarge = false;
        try
        {
            // A frame's window is memory too: beyond the usual, no more of it than the output may have.
            int windowLog = Math.Clamp(BitOperations.Log2((uint)Math.Max(1, maxOutput)) + 1, MinWindowLog, MaxWindowLog);
            decompressor.ResetStream();
            decompressor.SetParameter(ZSTD_dParameter.ZSTD_d_windowLogMax, windowLog);
            return Decode(decompressor, source, ref output, maxOutput, ref isLarge);
        }
        catch (ZstdException e)
        {
            return Codec.Corrupt("zstd", e.Message);
        }
        finally
        {
            // A context keeps the memory of the largest window that it has met.
            if (isLarge)
                decompressor.Dispose();
            else
                Decompressors.Return(decompressor);
        }
    }

    private static ValidationResult Decode<TOutput>(
        Decompressor decompressor, ReadOnlySpan<byte> source, ref TOutput output, int maxOutput, ref bool isLarge)
        where TOutput : struct, IDecompressionOutput, allows ref struct
    {
        int room = maxOutput;
        int chunk = BeginFrame(source, ref isLarge);
        while (true)
        {
            // One byte of room beyond the limit tells the end of the frame from more output.
            Span<byte> free = output.GetSpan(Math.Clamp(room, 1, chunk));
            OperationStatus status = decompressor.UnwrapStream(
                source, free[..(int)Math.Min(free.Length, room + 1L)], out int consumed, out int produced);
            if (produced > room)
                return Codec.TooLarge("zstd", maxOutput);

            source = source[consumed..];
            room -= produced;
            if ((produced > 0 && !output.Advance(produced)) || (source.IsEmpty && status == OperationStatus.Done))
                return ValidationResult.Ok;

            if (consumed == 0 && produced == 0)
                return Codec.Corrupt("zstd", "it ends early");

            if (status == OperationStatus.Done)
                chunk = BeginFrame(source, ref isLarge);
        }
    }

    /// <summary>
    /// How much room to give for a frame at a time. A frame that says how much it holds is decompressed at once if that is not much:
    /// then it needs no window of its own.
    /// </summary>
    private static unsafe int BeginFrame(ReadOnlySpan<byte> source, ref bool isLarge)
    {
        ZSTD_frameHeader header;
        fixed (byte* start = source)
        {
            if (Methods.ZSTD_getFrameHeader(&header, start, (nuint)source.Length) != 0)
                return MinChunk; // It is no frame, as decompressing it will tell.
        }

        isLarge |= header.windowSize > 1 << MinWindowLog;
        return header.frameContentSize is > MinChunk and <= MaxChunk ? (int)header.frameContentSize : MinChunk;
    }

    /// <summary>Contexts kept for reuse, since they take long to create; what does not fit is freed.</summary>
    private sealed class ContextPool<T>(Func<T> create) where T : class, IDisposable
    {
        private readonly ConcurrentQueue<T> _free = [];
        private readonly int _limit = 2 * Environment.ProcessorCount;

        public T Rent() => _free.TryDequeue(out T? context) ? context : create();

        public void Return(T context)
        {
            if (_free.Count < _limit)
                _free.Enqueue(context);
            else
                context.Dispose();
        }
    }
}
