using System.CommandLine;
using System.Globalization;
using Arus.Client;

namespace Arus.Cli;

/// <summary>One run of a command: the cluster, the command line and the terminal.</summary>
internal sealed record CommandRun(IArusClient Client, ParseResult Arguments, Terminal Terminal, CancellationToken Cancellation)
{
    public IArusAdmin Admin => Client.Admin;

    public T Get<T>(Argument<T> argument) => Arguments.GetRequiredValue(argument);

    /// <summary>The option's value; the default of its type if neither the command line nor the option has one.</summary>
    public T Get<T>(Option<T> option) => Arguments.GetValue(option)!;

    /// <summary>Writes a result: with <c>--json</c> as one document, otherwise as lines for people.</summary>
    public void Write(object json, params IEnumerable<string> lines)
    {
        if (Get(GlobalOptions.Json))
        {
            Terminal.WriteJson(json);
            return;
        }

        foreach (string line in lines)
            Terminal.WriteLine(line);
    }

    /// <summary>The chosen partitions of a topic, or all of them if none is chosen.</summary>
    public async Task<TopicPartition[]> PartitionsAsync(string topic, params int[] chosen)
    {
        TopicDescription description = await Admin.DescribeTopicAsync(topic, Cancellation);
        IEnumerable<int> partitions = chosen.Length > 0 ? chosen : description.Partitions.Select(p => p.Partition);
        return [.. partitions.Select(partition => new TopicPartition(topic, partition))];
    }

    /// <summary>The same look-up for several partitions, one answer for each, in their order.</summary>
    /// <param name="spec">Where no record is as late, the answer is <see cref="TopicPartitionOffset.End"/>.</param>
    public async Task<TopicPartitionOffset[]> ListOffsetsAsync(IEnumerable<TopicPartition> partitions, OffsetSpec spec) =>
        await Task.WhenAll(partitions.Select(async partition =>
        {
            long offset = (await Admin.ListOffsetAsync(partition, spec, Cancellation)).Offset;
            return new TopicPartitionOffset(partition, offset < 0 ? TopicPartitionOffset.End : offset);
        }));
}

/// <summary>Where in a partition to begin: at an offset, or otherwise where a look-up finds it.</summary>
internal sealed record OffsetTarget(long? Offset, OffsetSpec Spec = default)
{
    /// <summary>Reads an offset, or a time such as 2026-11-22T10:00:00Z; null for any other text.</summary>
    public static OffsetTarget? Parse(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long offset) ? new(offset)
        : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time)
            ? new(null, OffsetSpec.ForTime(time))
            : null;

    public async Task<TopicPartitionOffset[]> FindAsync(CommandRun run, TopicPartition[] partitions) => Offset is { } offset
        ? [.. partitions.Select(partition => new TopicPartitionOffset(partition, offset))]
        : await run.ListOffsetsAsync(partitions, Spec);
}
