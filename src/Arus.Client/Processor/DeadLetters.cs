using System.Globalization;
using System.Text;

namespace Arus.Client;

/// <summary>Writes records that failed for good to their dead-letter topics, as they were, with the reason in headers.</summary>
internal static class DeadLetters
{
    public const string TopicHeader = "arus.dlt.topic";
    public const string PartitionHeader = "arus.dlt.partition";
    public const string OffsetHeader = "arus.dlt.offset";
    public const string TimestampHeader = "arus.dlt.timestamp";
    public const string GroupHeader = "arus.dlt.group";
    public const string ExceptionTypeHeader = "arus.dlt.exception.type";
    public const string ExceptionMessageHeader = "arus.dlt.exception.message";

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
                Text(TopicHeader, record.Topic),
                Text(PartitionHeader, record.Partition.Partition.ToString(CultureInfo.InvariantCulture)),
                Text(OffsetHeader, record.Offset.ToString(CultureInfo.InvariantCulture)),
                Text(TimestampHeader, record.TimestampMs.ToString(CultureInfo.InvariantCulture)),
                Text(GroupHeader, groupId ?? ""),
                Text(ExceptionTypeHeader, cause.GetType().FullName ?? cause.GetType().Name),
                Text(ExceptionMessageHeader, message),
            ],
        };
    }

    private static RecordHeader Text(string key, string value) => new(key, Encoding.UTF8.GetBytes(value));
}
