using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Arus;

/// <summary>Zstandard frames (RFC 8878) through libzstd, at its default level 3, which is Kafka's too.</summary>
internal static unsafe class ZstdCodec
{
    private const int Level = 3;
    private const int ResetSessionOnly = 1;
    private const int WindowLogMaxParameter = 100;

    /// <summary>Every decoder should take windows of 8 MiB (RFC 8878, section 3.1.1.1.2); encoders use them for small inputs too.</summary>
    private const int MinWindowLog = 23;
    private const int MaxWindowLog = 27;
    private const int MinChunk = 64 * 1024;

    private static readonly NativeCodecLibrary Library = new(
        "zstd",
        OperatingSystem.IsWindows() ? ["libzstd.dll", "zstd.dll"]
            : OperatingSystem.IsMacOS() ? ["libzstd.1.dylib", "/opt/homebrew/lib/libzstd.1.dylib", "/usr/local/lib/libzstd.1.dylib", "libzstd.dylib"]
            : ["libzstd.so.1", "libzstd.so"],
        "libzstd1",
        "zstd",
        ["ZSTD_compressCCtx", "ZSTD_decompressStream", "ZSTD_DCtx_reset", "ZSTD_DCtx_setParameter"]);

    private static readonly NativeContextPool Encoders = new();
    private static readonly NativeContextPool Decoders = new();

    public static string? WhyUnavailable => Library.WhyUnavailable;

    public static void Compress(ReadOnlySpan<byte> source, IBufferWriter<byte> destination)
    {
        if (!Encoders.TryTake(out nint encoder))
        {
            encoder = NotNull(Native.CreateCCtx());
        }

        try
        {
            Span<byte> free = destination.GetSpan(checked((int)Native.CompressBound((nuint)source.Length)));
            fixed (byte* from = source)
            fixed (byte* to = free)
            {
                nuint size = Native.CompressCCtx(encoder, to, (nuint)free.Length, from, (nuint)source.Length, Level);
                if (Native.IsError(size) != 0)
                {
                    throw new InvalidOperationException($"libzstd failed to compress: {ErrorName(size)}.");
                }

                destination.Advance((int)size);
            }
        }
        finally
        {
            if (!Encoders.TryGive(encoder))
            {
                Native.FreeCCtx(encoder);
            }
        }
    }

    public static ValidationResult TryDecompress(ReadOnlySpan<byte> source, IBufferWriter<byte> destination, int maxOutput)
    {
        if (!Decoders.TryTake(out nint decoder))
        {
            decoder = NotNull(Native.CreateDCtx());
        }

        try
        {
            // A frame's window is memory too: beyond the usual, no more of it than the output may have.
            int windowLog = Math.Clamp(BitOperations.Log2((uint)Math.Max(1, maxOutput)) + 1, MinWindowLog, MaxWindowLog);
            Native.ResetDCtx(decoder, ResetSessionOnly);
            Native.SetDCtxParameter(decoder, WindowLogMaxParameter, windowLog);
            return Decode(decoder, source, destination, maxOutput);
        }
        finally
        {
            if (!Decoders.TryGive(decoder))
            {
                Native.FreeDCtx(decoder);
            }
        }
    }

    private static ValidationResult Decode(nint decoder, ReadOnlySpan<byte> source, IBufferWriter<byte> destination, int maxOutput)
    {
        int total = 0;
        nuint hint = 1;
        bool flushed = true;
        fixed (byte* from = source)
        {
            var input = new Buffer { Start = from, Size = (nuint)source.Length };
            while (input.Position < input.Size || (hint != 0 && !flushed))
            {
                // Once the limit is reached, one byte of room tells the end of the frame from more output.
                byte probe;
                Span<byte> free = destination.GetSpan(Math.Min(MinChunk, Math.Max(1, maxOutput - total)));
                int room = Math.Min(free.Length, maxOutput - total);
                nuint before = input.Position;
                nuint produced;
                fixed (byte* to = free)
                {
                    var output = new Buffer { Start = room == 0 ? &probe : to, Size = (nuint)Math.Max(1, room) };
                    hint = Native.DecompressStream(decoder, &output, &input);
                    produced = output.Position;
                    flushed = output.Position < output.Size;
                }

                if (Native.IsError(hint) != 0)
                {
                    return Corrupt(ErrorName(hint));
                }

                if (room == 0 && produced > 0)
                {
                    return Compression.TooLarge("zstd", maxOutput);
                }

                if (produced == 0 && input.Position == before)
                {
                    break;
                }

                total += (int)produced;
                destination.Advance((int)produced);
            }

            return hint == 0 && input.Position == input.Size ? ValidationResult.Ok : Corrupt("it ends early");
        }
    }

    private static nint NotNull(nint context) => context != 0 ? context : throw new OutOfMemoryException("libzstd could not make a context.");

    private static string ErrorName(nuint code) => Marshal.PtrToStringUTF8(Native.GetErrorName(code)) ?? "unknown error";

    private static ValidationResult Corrupt(string reason) => ValidationResult.Corrupt($"The zstd data is damaged: {reason}.");

    /// <summary><c>ZSTD_inBuffer</c> and <c>ZSTD_outBuffer</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Buffer
    {
        public byte* Start;
        public nuint Size;
        public nuint Position;
    }

    /// <summary>Resolved after <see cref="WhyUnavailable"/> was found null.</summary>
    private static class Native
    {
        public static readonly delegate* unmanaged<nuint, nuint> CompressBound =
            (delegate* unmanaged<nuint, nuint>)Library.Export("ZSTD_compressBound");

        public static readonly delegate* unmanaged<nint> CreateCCtx = (delegate* unmanaged<nint>)Library.Export("ZSTD_createCCtx");

        public static readonly delegate* unmanaged<nint, nuint> FreeCCtx = (delegate* unmanaged<nint, nuint>)Library.Export("ZSTD_freeCCtx");

        public static readonly delegate* unmanaged<nint, byte*, nuint, byte*, nuint, int, nuint> CompressCCtx =
            (delegate* unmanaged<nint, byte*, nuint, byte*, nuint, int, nuint>)Library.Export("ZSTD_compressCCtx");

        public static readonly delegate* unmanaged<nint> CreateDCtx = (delegate* unmanaged<nint>)Library.Export("ZSTD_createDCtx");

        public static readonly delegate* unmanaged<nint, nuint> FreeDCtx = (delegate* unmanaged<nint, nuint>)Library.Export("ZSTD_freeDCtx");

        public static readonly delegate* unmanaged<nint, int, nuint> ResetDCtx =
            (delegate* unmanaged<nint, int, nuint>)Library.Export("ZSTD_DCtx_reset");

        public static readonly delegate* unmanaged<nint, int, int, nuint> SetDCtxParameter =
            (delegate* unmanaged<nint, int, int, nuint>)Library.Export("ZSTD_DCtx_setParameter");

        public static readonly delegate* unmanaged<nint, Buffer*, Buffer*, nuint> DecompressStream =
            (delegate* unmanaged<nint, Buffer*, Buffer*, nuint>)Library.Export("ZSTD_decompressStream");

        public static readonly delegate* unmanaged<nuint, uint> IsError = (delegate* unmanaged<nuint, uint>)Library.Export("ZSTD_isError");

        public static readonly delegate* unmanaged<nuint, nint> GetErrorName =
            (delegate* unmanaged<nuint, nint>)Library.Export("ZSTD_getErrorName");
    }
}
