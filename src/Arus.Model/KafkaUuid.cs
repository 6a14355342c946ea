using System.Buffers;
using System.Buffers.Text;

namespace Arus;

/// <summary>Kafka's text form of a UUID: its 16 bytes, big-endian, in base64url without padding (22 characters).</summary>
public static class KafkaUuid
{
    public const int TextLength = 22;

    public static string Format(Guid id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.TryWriteBytes(bytes, bigEndian: true, out _);
        return Base64Url.EncodeToString(bytes);
    }

    public static bool TryParse(ReadOnlySpan<char> text, out Guid id)
    {
        Span<byte> bytes = stackalloc byte[18];
        bool parsed = text.Length == TextLength
            && Base64Url.DecodeFromChars(text, bytes, out _, out int written) == OperationStatus.Done
            && written == 16;
        id = parsed ? new Guid(bytes[..16], bigEndian: true) : Guid.Empty;
        return parsed;
    }
}
