using System.CommandLine;
using System.Text.RegularExpressions;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus consume</c>: records to standard output.</summary>
internal static class ConsumeCommand
{
    private static readonly TimeSpan CommitInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PollTimeout = TimeSpan.FromMilliseconds(500);

    /// <summary>A filter that backtracks without end must not hang the command.</summary>
    private static readonly TimeSpan FilterTimeout = TimeSpan.FromSeconds(1);

    private static readonly Argument<string> Topic = new("topic") { Description = "the topic's name" };
    private static readonly Option<string?> Group =
        new("--group", "-G") { Description = "read as a member of this group, and commit what was written out" };
    private static readonly Option<bool> FromBeginning =
        new("--from-beginning") { Description = "begin with the first record; in a group, where it has committed nothing" };
    private static readonly Option<string?> From =
        new("--from") { Description = "begin at an offset, or at a time such as 2026-11-22T10:00:00Z" };
    private static readonly Option<int[]> Partitions = new("--partition") { Description = "only these partitions; may be repeated" };
    private static readonly Option<long?> Count = new("--count", "-n") { Description = "stop after so many records" };
    private static readonly Option<bool> ExitAtEnd =
        new("--exit-at-end", "-e") { Description = "stop at the end, as it is when the command starts" };
    private static readonly Option<RecordFormat> Format = new("--format") { HelpName = "format", Description = "value, key-value or json" };
    private static readonly Option<string> KeySeparator =
        new("--key-separator", "-K") { Description = "between key and value", DefaultValueFactory = _ => "\t" };
    private static readonly Option<string?> KeyFilter =
        new("--key-filter") { Description = "only records whose key matches this regular expression" };
    private static readonly Option<string?> ValueFilter =
        new("--value-filter") { Description = "only records whose value matches this regular expression" };

    static ConsumeCommand()
    {
        Format.CustomParser = result =>
        {
            string text = result.Tokens is [{ Value: var token }, ..] ? token : "";
            if (Enum.TryParse(text.Replace("-", "", StringComparison.Ordinal), ignoreCase: true, out RecordFormat format))
                return format;

            result.AddError($"'{text}' is not a format: value, key-value or json.");
            return default;
        };
    }

    public static Command Build(Application application)
    {
        var command = new Command("consume", "Write a topic's records to standard output, and wait for more.")
        {
            Topic, Group, FromBeginning, From, Partitions, Count, ExitAtEnd, Format, KeySeparator, KeyFilter, ValueFilter,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Group) is not null
                && (result.GetValue(ExitAtEnd) || result.GetValue(From) is not null || result.GetValue(Partitions)!.Length > 0))
            {
                result.AddError(
                    "A group decides itself what its members read: --group goes with neither --from, --partition nor --exit-at-end.");
            }
        });
        return application.Connected(command, async run =>
        {
            var writer = new RecordWriter(run.Terminal.Output, run.Get(Format), run.Get(GlobalOptions.Json), run.Get(KeySeparator));
            var output = new ConsumeRun(
                run.Get(Count) ?? long.MaxValue, writer, Pattern(run.Get(KeyFilter)), Pattern(run.Get(ValueFilter)));
            await (run.Get(Group) is { } group ? InGroupAsync(run, group, output) : AloneAsync(run, output));
        });
    }

    private static async Task InGroupAsync(CommandRun run, string group, ConsumeRun output)
    {
        // The consumer commits what earlier polls delivered, before every rebalance and at the end: by then it is written out.
        await using IConsumer<byte[], byte[]> consumer = run.Client.CreateConsumer<byte[], byte[]>(new ConsumerOptions
        {
            GroupId = group,
            ClientId = "arus-cli",
            AutoOffsetReset = run.Get(FromBeginning) ? AutoOffsetReset.Earliest : AutoOffsetReset.Latest,
            AutoCommitInterval = CommitInterval,
        });
        consumer.Subscribe(run.Get(Topic));
        while (!output.IsDone)
            output.Write(consumer, await consumer.PollAsync(PollTimeout, run.Cancellation));

        // The last poll's records count as processed when the next one begins, and there is none.
        await consumer.CommitAsync(run.Cancellation);
    }

    private static async Task AloneAsync(CommandRun run, ConsumeRun output)
    {
        TopicPartition[] partitions = await run.PartitionsAsync(run.Get(Topic), run.Get(Partitions));
        OffsetTarget start = run.Get(From) is not { } from
            ? new(run.Get(FromBeginning) ? TopicPartitionOffset.Beginning : TopicPartitionOffset.End)
            : OffsetTarget.Parse(from)
                ?? throw new FormatException($"'{from}' is neither an offset nor a time such as 2026-11-22T10:00:00Z.");
        TopicPartitionOffset[] starts = await start.FindAsync(run, partitions);
        if (run.Get(ExitAtEnd))
            output.StopAt(await run.ListOffsetsAsync(partitions, OffsetSpec.Latest));

        await using IConsumer<byte[], byte[]> consumer = run.Client.CreateConsumer<byte[], byte[]>(
            new ConsumerOptions { ClientId = "arus-cli", AutoOffsetReset = AutoOffsetReset.Earliest });
        consumer.Assign(starts);
        while (!output.IsDone && !output.IsAtEnd(consumer))
            output.Write(consumer, await consumer.PollAsync(PollTimeout, run.Cancellation));
    }

    private static Regex? Pattern(string? text)
    {
        try
        {
            return text is null ? null : new Regex(text, RegexOptions.CultureInvariant, FilterTimeout);
        }
        catch (ArgumentException fault)
        {
            throw new FormatException($"'{text}' is not a regular expression: {fault.Message}", fault);
        }
    }
}
