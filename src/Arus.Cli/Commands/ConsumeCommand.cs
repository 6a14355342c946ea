using System.CommandLine;
using System.Globalization;
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
    private static readonly Option<int[]> Partitions =
        new("--partition") { Description = "only these partitions; may be repeated", DefaultValueFactory = _ => [] };
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
            string text = result.Tokens.Count == 0 ? "" : result.Tokens[0].Value;
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
        return application.Connected(command, async (connection, arguments, cancellationToken) =>
        {
            var run = new ConsumeRun(
                arguments.GetValue(Count) ?? long.MaxValue, Writer(application.Terminal, arguments), Filter(arguments));
            if (arguments.GetValue(Group) is { } group)
                await InGroupAsync(connection.Client, group, arguments, run, cancellationToken).ConfigureAwait(false);
            else
                await AloneAsync(connection.Client, arguments, run, cancellationToken).ConfigureAwait(false);

            return ExitCode.Success;
        });
    }

    private static async Task InGroupAsync(
        IArusClient client, string group, ParseResult arguments, ConsumeRun run, CancellationToken cancellationToken)
    {
        var options = new ConsumerOptions
        {
            GroupId = group,
            ClientId = "arus-cli",
            AutoOffsetReset = arguments.GetValue(FromBeginning) ? AutoOffsetReset.Earliest : AutoOffsetReset.Latest,
            AutoCommitInterval = CommitInterval,
        };
        // The consumer commits what earlier polls delivered, before every rebalance and at the end: by then it is written out.
        IConsumer<byte[], byte[]> consumer = client.CreateConsumer<byte[], byte[]>(options);
        await using (consumer.ConfigureAwait(false))
        {
            consumer.Subscribe(arguments.GetRequiredValue(Topic));
            while (!run.IsDone)
                run.Write(consumer, await consumer.PollAsync(PollTimeout, cancellationToken).ConfigureAwait(false));
        }
    }

    private static async Task AloneAsync(IArusClient client, ParseResult arguments, ConsumeRun run, CancellationToken cancellationToken)
    {
        string topic = arguments.GetRequiredValue(Topic);
        TopicDescription description = await client.Admin.DescribeTopicAsync(topic, cancellationToken).ConfigureAwait(false);
        int[] chosen = arguments.GetValue(Partitions)!;
        TopicPartition[] partitions =
            [.. (chosen.Length > 0 ? chosen : Enumerable.Range(0, description.Partitions.Count)).Select(p => new TopicPartition(topic, p))];
        TopicPartitionOffset[] starts = await StartsAsync(client.Admin, partitions, arguments, cancellationToken).ConfigureAwait(false);
        if (arguments.GetValue(ExitAtEnd))
            run.StopAt(await client.Admin.ListOffsetsAsync(partitions, OffsetSpec.Latest, cancellationToken).ConfigureAwait(false));

        IConsumer<byte[], byte[]> consumer = client.CreateConsumer<byte[],
        byte[]>(new ConsumerOptions { ClientId = "arus-cli", AutoOffsetReset = AutoOffsetReset.Earliest });
        await using (consumer.ConfigureAwait(false))
        {
            consumer.Assign(starts);
            while (!run.IsDone && !run.IsAtEnd(consumer))
                run.Write(consumer, await consumer.PollAsync(PollTimeout, cancellationToken).ConfigureAwait(false));
        }
    }

    private static async Task<TopicPartitionOffset[]> StartsAsync(
        IArusAdmin admin, TopicPartition[] partitions, ParseResult arguments, CancellationToken cancellationToken)
    {
        if (arguments.GetValue(From) is not { } from)
        {
            long start = arguments.GetValue(FromBeginning) ? TopicPartitionOffset.Beginning : TopicPartitionOffset.End;
            return [.. partitions.Select(p => new TopicPartitionOffset(p, start))];
        }

        if (long.TryParse(from, NumberStyles.None, CultureInfo.InvariantCulture, out long offset))
            return [.. partitions.Select(p => new TopicPartitionOffset(p, offset))];

        if (!DateTimeOffset.TryParse(from, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time))
            throw new FormatException($"'{from}' is neither an offset nor a time such as 2026-11-22T10:00:00Z.");

        return await admin.ListOffsetsAsync(partitions, OffsetSpec.ForTime(time), cancellationToken).ConfigureAwait(false);
    }

    private static RecordWriter Writer(Terminal terminal, ParseResult arguments) =>
        new(terminal.Output, arguments.GetValue(Format), arguments.GetValue(GlobalOptions.Json), arguments.GetValue(KeySeparator)!);

    private static RecordFilter Filter(ParseResult arguments) =>
        new(Pattern(arguments.GetValue(KeyFilter)), Pattern(arguments.GetValue(ValueFilter)));

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
