using System.Text;
using System.Text.RegularExpressions;
using Arus.Client;

namespace Arus.Cli;

/// <summary>Which records a person wants to see. Bytes that are no UTF-8 match as replacement characters.</summary>
internal sealed class RecordFilter(Regex? key, Regex? value)
{
    public bool Accepts(in ConsumeResult<byte[], byte[]> record) => Matches(key, record.Key) && Matches(value, record.Value);

    private static bool Matches(Regex? pattern, byte[]? bytes) =>
        pattern is null || (bytes is not null && pattern.IsMatch(Encoding.UTF8.GetString(bytes)));
}

/// <summary>One <c>arus consume</c>: writes records until there were enough, and knows what has been written out.</summary>
internal sealed class ConsumeRun(Terminal terminal, long count, RecordWriter writer, RecordFilter filter)
{
    private readonly Dictionary<TopicPartition, long> _uncommitted = [];
    private readonly Dictionary<TopicPartition, long> _ends = [];
    private long _left = count;

    public bool IsDone => _left <= 0;

    public void StopAt(IEnumerable<TopicPartitionOffset> ends)
    {
        foreach (TopicPartitionOffset end in ends)
        {
            _ends[end.Partition] = end.Offset;
        }
    }

    /// <summary>Whether every partition was read to the end that <see cref="StopAt"/> gave. Never, when it gave none.</summary>
    public bool IsAtEnd(IConsumer<byte[], byte[]> consumer) =>
        _ends.Count > 0 && _ends.All(end => end.Value == 0 || consumer.Position(end.Key) >= end.Value);

    public void Write(IReadOnlyList<ConsumeResult<byte[], byte[]>> records)
    {
        foreach (ConsumeResult<byte[], byte[]> record in records)
        {
            if (IsDone)
            {
                break;
            }

            bool beyondEnd = _ends.TryGetValue(record.Partition, out long end) && record.Offset >= end;
            if (!beyondEnd && filter.Accepts(record))
            {
                writer.Write(record);
                _left--;
            }

            _uncommitted[record.Partition] = record.Offset + 1;
        }

        writer.Flush();
    }

    /// <summary>Commits what was written out, and nothing that was only fetched.</summary>
    public async Task CommitAsync(IConsumer<byte[], byte[]> consumer, CancellationToken cancellationToken)
    {
        if (_uncommitted.Count == 0)
        {
            return;
        }

        TopicPartitionOffset[] offsets = [.. _uncommitted.Select(u => new TopicPartitionOffset(u.Key, u.Value))];
        _uncommitted.Clear();
        try
        {
            await consumer.CommitAsync(offsets, cancellationToken).ConfigureAwait(false);
        }
        catch (CommitFailedException failure)
        {
            // Another member has the partitions now and will write these records again: said, since it shows in the output.
            terminal.Error.WriteLine($"arus: offsets were not committed: {failure.Message}");
        }
    }
}
