using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus group …</c></summary>
internal static class GroupCommands
{
    private static readonly Argument<string> Id = new("group") { Description = "the group's id" };

    public static Command Build(Application application) => new("group", "List, describe, reset and delete consumer groups.")
    {
        List(application), Describe(application), ResetOffsets(application), Delete(application),
    };

    private static Command List(Application application) =>
        application.Connected(new Command("list", "List consumer groups."), async run =>
        {
            IReadOnlyList<string> groups = await run.Admin.ListGroupsAsync(run.Cancellation);
            run.Write(groups, groups);
        });

    private static Command Describe(Application application) =>
        application.Connected(new Command("describe", "Show a group's members, offsets and lag.") { Id }, async run =>
        {
            GroupDescription group = await run.Admin.DescribeGroupAsync(run.Get(Id), run.Cancellation);
            Progress[] progress = await ProgressAsync(run);
            var json = new
            {
                group.GroupId, group.State, group.GenerationId, group.ProtocolName, group.CoordinatorBrokerId,
                Members = group.Members.Select(m => new { m.MemberId, m.GroupInstanceId, m.ClientId, m.ClientHost }),
                Offsets = progress,
            };
            run.Write(json,
            [
                $"Group {group.GroupId}: {group.State}, generation {group.GenerationId}, "
                    + $"protocol {(group.ProtocolName.Length == 0 ? "-" : group.ProtocolName)}, coordinator {group.CoordinatorBrokerId}",
                .. Terminal.Table(
                    ["TOPIC", "PARTITION", "OFFSET", "END", "LAG"],
                    progress.Select(p => new object?[] { p.Topic, p.Partition, p.Offset, p.End, p.Lag })),
                .. Terminal.Table(
                    ["MEMBER", "INSTANCE", "CLIENT", "HOST"],
                    group.Members.Select(m => new object?[] { m.MemberId, m.GroupInstanceId, m.ClientId, m.ClientHost })),
            ]);
        });

    private static Command Delete(Application application) =>
        application.Connected(new Command("delete", "Delete a group that has no members, with its offsets.") { Id }, async run =>
        {
            await run.Admin.DeleteGroupAsync(run.Get(Id), run.Cancellation);
            run.Terminal.Error.WriteLine($"Group {run.Get(Id)} deleted.");
        });

    private static Command ResetOffsets(Application application)
    {
        Option<string> topic = new("--topic", "-t") { Description = "the topic whose offsets are set", Required = true };
        Option<int[]> partitions = new("--partition") { Description = "only these partitions; may be repeated" };
        Option<string> to =
            new("--to") { Description = "earliest, latest, an offset, or a time such as 2026-11-22T10:00:00Z", Required = true };
        Option<bool> dryRun = new("--dry-run") { Description = "show what would be set; set nothing" };
        to.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }, ..] && ParseTarget(text) is null)
                result.AddError($"'{text}' is neither earliest, latest, an offset nor a time.");
        });
        var command = new Command("reset-offsets", "Set where a group without members goes on.") { Id, topic, partitions, to, dryRun };
        return application.Connected(command, async run =>
        {
            TopicPartition[] chosen = await run.PartitionsAsync(run.Get(topic), run.Get(partitions));
            CommittedOffset[] offsets = await ResolveAsync(run, chosen, ParseTarget(run.Get(to))!);
            if (!run.Get(dryRun))
                await run.Admin.AlterGroupOffsetsAsync(run.Get(Id), offsets, run.Cancellation);

            run.Write(
                offsets.Select(o => new { o.Partition.Topic, o.Partition.Partition, o.Offset }),
                Terminal.Table(
                    ["TOPIC", "PARTITION", "OFFSET"],
                    offsets.Select(o => new object[] { o.Partition.Topic, o.Partition.Partition, o.Offset })));
        });
    }

    private static OffsetTarget? ParseTarget(string text) => text switch
    {
        "earliest" => new OffsetTarget(null, OffsetSpec.Earliest),
        "latest" => new OffsetTarget(null, OffsetSpec.Latest),
        _ => OffsetTarget.Parse(text),
    };

    /// <summary>The target in each partition, within the log: consumers would only reset an offset outside it.</summary>
    private static async Task<CommittedOffset[]> ResolveAsync(CommandRun run, TopicPartition[] partitions, OffsetTarget target)
    {
        TopicPartitionOffset[] first = await run.ListOffsetsAsync(partitions, OffsetSpec.Earliest);
        TopicPartitionOffset[] end = await run.ListOffsetsAsync(partitions, OffsetSpec.Latest);
        TopicPartitionOffset[] found = await target.FindAsync(run, partitions);
        return [.. found.Select((at, i) => new CommittedOffset(
            at.Partition, at.Offset < 0 ? end[i].Offset : Math.Clamp(at.Offset, first[i].Offset, end[i].Offset), -1, ""))];
    }

    private static async Task<Progress[]> ProgressAsync(CommandRun run)
    {
        var progress = new List<Progress>();
        foreach ((TopicPartition at, long offset, _, _) in await run.Admin.ListGroupOffsetsAsync(run.Get(Id), run.Cancellation))
        {
            long? end = null;
            try
            {
                end = (await run.Admin.ListOffsetAsync(at, OffsetSpec.Latest, run.Cancellation)).Offset;
            }
            catch (ArusException gone) when (gone.Code == ErrorCode.UnknownTopicOrPartition)
            {
                // The topic was deleted; its offsets stay until they expire.
            }

            progress.Add(new Progress(at.Topic, at.Partition, offset, end, end - offset));
        }

        return [.. progress.OrderBy(p => p.Topic, StringComparer.Ordinal).ThenBy(p => p.Partition)];
    }

    private sealed record Progress(string Topic, int Partition, long Offset, long? End, long? Lag);
}
