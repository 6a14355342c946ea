using System.Text;
using System.Text.RegularExpressions;
using Arus.Client;

namespace Arus.Cli;

/// <summary>One <c>arus consume</c>: writes records until there were enough.</summary>
/// <param name="key">What the key of a record must match to be written, and <paramref name="value"/> its value; null for no condition.
/// Bytes that are no UTF-8 match as replacement characters.</param>
internal sealed class ConsumeRun(long count, RecordWriter writer, Regex? key, Regex? value)
{
    private readonly Dictionary<TopicPartition, long> _ends = [];
    private long _left = count;

    public bool IsDone => _left <= 0;

    public void StopAt(IEnumerable<TopicPartitionOffset> ends)
    {
        foreach (TopicPartitionOffset end in ends)
            _ends[end.Partition] = end.Offset;
    }

    /// <summary>Whether every partition was read to the end that <see cref="StopAt"/> gave. Never, when it gave none.</summary>
    public bool IsAtEnd(IConsumer<byte[], byte[]> consumer) =>
        _ends.Count > 0 && _ends.All(end => end.Value == 0 || consumer.Position(end.Key) >= end.Value);

    /// <summary>
    /// Writes records out. What is beyond the wanted count is given back to the consumer, so that a group commits what was written
    /// and nothing that was only fetched.
    /// </summary>
    public void Write(IConsumer<byte[], byte[]> consumer, IReadOnlyList<ConsumeResult<byte[], byte[]>> records)
    {
        var givenBack = new HashSet<TopicPartition>();
        foreach (ConsumeResult<byte[], byte[]> record in records)
        {
            if (IsDone)
            {
                if (givenBack.Add(record.Partition))
                    consumer.Seek(record.Partition, record.Offset);

                continue;
            }

            bool beyondEnd = _ends.TryGetValue(record.Partition, out long end) && record.Offset >= end;
            if (!beyondEnd && Matches(key, record.Key) && Matches(value, record.Value))
            {
                writer.Write(record);
                _left--;
            }
        }

        writer.Flush();
    }

    private static bool Matches(Regex? pattern, byte[]? bytes) =>
        pattern is null || (bytes is not null && pattern.IsMatch(Encoding.UTF8.GetString(bytes)));
}
