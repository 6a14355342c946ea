using System.Buffers;
using System.Runtime.InteropServices;

namespace Arus;

/// <summary>
/// The LZ4 frame format through liblz4. Frames are written as Kafka's Java reader demands: independent blocks of 64 KiB, no content
/// size, and a header checksum over the descriptor alone (KIP-57).
/// </summary>
internal static unsafe class Lz4Codec
{
    private const uint FrameVersion = 100;
    private const int BlockSize64KiB = 4;
    private const int IndependentBlocks = 1;
    private const int MinChunk = 64 * 1024;

    private static readonly NativeCodecLibrary Library = new(
        "lz4",
        OperatingSystem.IsWindows() ? ["liblz4.dll", "lz4.dll"]
            : OperatingSystem.IsMacOS() ? ["liblz4.1.dylib", "/opt/homebrew/lib/liblz4.1.dylib", "/usr/local/lib/liblz4.1.dylib", "liblz4.dylib"]
            : ["liblz4.so.1", "liblz4.so"],
        "liblz4-1",
        "lz4",
        ["LZ4F_compressFrame", "LZ4F_decompress", "LZ4F_resetDecompressionContext"]);

    private static readonly NativeContextPool Decoders = new();

    public static string? WhyUnavailable => Library.WhyUnavailable;

    public static void Compress(ReadOnlySpan<byte> source, IBufferWriter<byte> destination)
    {
        var preferences = new Preferences { BlockSizeId = BlockSize64KiB, BlockMode = IndependentBlocks };
        nuint bound = Native.CompressFrameBound((nuint)source.Length, &preferences);
        Span<byte> free = destination.GetSpan(checked((int)bound));
        fixed (byte* from = source)
        fixed (byte* to = free)
        {
            nuint size = Native.CompressFrame(to, (nuint)free.Length, from, (nuint)source.Length, &preferences);
            if (Native.IsError(size) != 0)
            {
                throw new InvalidOperationException($"liblz4 failed to compress: {ErrorName(size)}.");
            }

            destination.Advance((int)size);
        }
    }

    public static ValidationResult TryDecompress(ReadOnlySpan<byte> source, IBufferWriter<byte> destination, int maxOutput)
    {
        if (!Decoders.TryTake(out nint decoder))
        {
            nint created;
            nuint code = Native.CreateDecompressionContext(&created, FrameVersion);
            if (Native.IsError(code) != 0)
            {
                throw new OutOfMemoryException($"liblz4 could not make a decompression context: {ErrorName(code)}.");
            }

            decoder = created;
        }

        try
        {
            return Decode(decoder, source, destination, maxOutput);
        }
        finally
        {
            Native.ResetDecompressionContext(decoder);
            if (!Decoders.TryGive(decoder))
            {
                Native.FreeDecompressionContext(decoder);
            }
        }
    }

    private static ValidationResult Decode(nint decoder, ReadOnlySpan<byte> source, IBufferWriter<byte> destination, int maxOutput)
    {
        int total = 0;
        nuint hint = 1;
        fixed (byte* from = source)
        {
            int at = 0;
            while (at < source.Length)
            {
                // Once the limit is reached, one byte of room tells the end of the frame from more output.
                byte probe;
                Span<byte> free = destination.GetSpan(Math.Min(MinChunk, Math.Max(1, maxOutput - total)));
                int room = Math.Min(free.Length, maxOutput - total);
                nuint produced = (nuint)Math.Max(1, room);
                nuint consumed = (nuint)(source.Length - at);
                fixed (byte* to = free)
                {
                    hint = Native.Decompress(decoder, room == 0 ? &probe : to, &produced, from + at, &consumed, null);
                }

                if (Native.IsError(hint) != 0)
                {
                    return Corrupt(ErrorName(hint));
                }

                if (room == 0 && produced > 0)
                {
                    return Compression.TooLarge("lz4", maxOutput);
                }

                if (consumed == 0 && produced == 0)
                {
                    return Corrupt("it makes no progress");
                }

                at += (int)consumed;
                total += (int)produced;
                destination.Advance((int)produced);
            }
        }

        return hint == 0 ? ValidationResult.Ok : Corrupt("it ends early");
    }

    private static string ErrorName(nuint code) => Marshal.PtrToStringUTF8(Native.GetErrorName(code)) ?? "unknown error";

    private static ValidationResult Corrupt(string reason) => ValidationResult.Corrupt($"The lz4 data is damaged: {reason}.");

    /// <summary><c>LZ4F_preferences_t</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Preferences
    {
        public int BlockSizeId;
        public int BlockMode;
        public int ContentChecksum;
        public int FrameType;
        public ulong ContentSize;
        public uint DictionaryId;
        public int BlockChecksum;
        public int CompressionLevel;
        public uint AutoFlush;
        public uint FavorDecompressionSpeed;
        public uint Reserved0;
        public uint Reserved1;
        public uint Reserved2;
    }

    /// <summary>Resolved after <see cref="WhyUnavailable"/> was found null.</summary>
    private static class Native
    {
        public static readonly delegate* unmanaged<nuint, Preferences*, nuint> CompressFrameBound =
            (delegate* unmanaged<nuint, Preferences*, nuint>)Library.Export("LZ4F_compressFrameBound");

        public static readonly delegate* unmanaged<byte*, nuint, byte*, nuint, Preferences*, nuint> CompressFrame =
            (delegate* unmanaged<byte*, nuint, byte*, nuint, Preferences*, nuint>)Library.Export("LZ4F_compressFrame");

        public static readonly delegate* unmanaged<nint*, uint, nuint> CreateDecompressionContext =
            (delegate* unmanaged<nint*, uint, nuint>)Library.Export("LZ4F_createDecompressionContext");

        public static readonly delegate* unmanaged<nint, nuint> FreeDecompressionContext =
            (delegate* unmanaged<nint, nuint>)Library.Export("LZ4F_freeDecompressionContext");

        public static readonly delegate* unmanaged<nint, void> ResetDecompressionContext =
            (delegate* unmanaged<nint, void>)Library.Export("LZ4F_resetDecompressionContext");

        public static readonly delegate* unmanaged<nint, byte*, nuint*, byte*, nuint*, void*, nuint> Decompress =
            (delegate* unmanaged<nint, byte*, nuint*, byte*, nuint*, void*, nuint>)Library.Export("LZ4F_decompress");

        public static readonly delegate* unmanaged<nuint, uint> IsError =
            (delegate* unmanaged<nuint, uint>)Library.Export("LZ4F_isError");

        public static readonly delegate* unmanaged<nuint, nint> GetErrorName =
            (delegate* unmanaged<nuint, nint>)Library.Export("LZ4F_getErrorName");
    }
}
