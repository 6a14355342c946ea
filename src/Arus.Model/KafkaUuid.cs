using System.Buffers.Text;

namespace Arus;

/// <summary>Kafka's text form of a UUID: its 16 bytes, big-endian, in base64url without padding (22 characters).</summary>
public static class KafkaUuid
{
    public static string Format(Guid id) => Base64Url.EncodeToString(id.ToByteArray(bigEndian: true));
}
