using System.Globalization;
using System.Text;

namespace Arus.Client;

/// <summary>Writes records that failed for good to their dead-letter topics, as they were, with the reason in headers.</summary>
internal static class DeadLetters
{
    private const int MaxMessageLength = 1000;

    public static ProducerRecord<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?> Make(
        string deadLetterTopic, in RawRecord record, string? groupId, Exception cause)
    {
        string message = cause.Message.Length <= MaxMessageLength ? cause.Message : cause.Message[..MaxMessageLength];
        return new ProducerRecord<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>(deadLetterTopic, record.Key, record.Value)
        {
            Timestamp = record.TimestampMs >= 0 ? record.Timestamp : null,
            Headers =
            [
                .. record.Headers.ToArray(),
                Text("arus.dlt.topic", record.Topic),
                Text("arus.dlt.partition", record.Partition.Partition.ToString(CultureInfo.InvariantCulture)),
                Text("arus.dlt.offset", record.Offset.ToString(CultureInfo.InvariantCulture)),
                Text("arus.dlt.timestamp", record.TimestampMs.ToString(CultureInfo.InvariantCulture)),
                Text("arus.dlt.group", groupId ?? ""),
                Text("arus.dlt.exception.type", cause.GetType().FullName ?? cause.GetType().Name),
                Text("arus.dlt.exception.message", message),
            ],
        };
    }

    private static RecordHeader Text(string key, string value) => new(key, Encoding.UTF8.GetBytes(value));
}
