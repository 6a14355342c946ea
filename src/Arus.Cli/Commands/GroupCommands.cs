using System.CommandLine;
using System.Globalization;
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
        application.Connected(new Command("list", "List consumer groups."), async (connection, arguments, cancellationToken) =>
        {
            IReadOnlyList<string> groups = await connection.Admin.ListGroupsAsync(cancellationToken).ConfigureAwait(false);
            if (arguments.GetValue(GlobalOptions.Json))
            {
                application.Terminal.WriteJson(groups);
                return ExitCode.Success;
            }

            foreach (string group in groups)
                application.Terminal.WriteLine(group);

            return ExitCode.Success;
        });

    private static Command Describe(Application application) =>
        application.Connected(
            new Command("describe", "Show a group's members, offsets and lag.") { Id }, async (connection, arguments, cancellationToken) =>
        {
            string id = arguments.GetRequiredValue(Id);
            GroupDescription group = await connection.Admin.DescribeGroupAsync(id, cancellationToken).ConfigureAwait(false);
            Progress[] progress = await ProgressAsync(connection.Admin, id, cancellationToken).ConfigureAwait(false);
            if (arguments.GetValue(GlobalOptions.Json))
            {
                application.Terminal.WriteJson(new
                {
                    group.GroupId, group.State, group.GenerationId, group.ProtocolName, group.CoordinatorBrokerId,
                    Members = group.Members.Select(m => new { m.MemberId, m.GroupInstanceId, m.ClientId, m.ClientHost }),
                    Offsets = progress,
                });
                return ExitCode.Success;
            }

            application.Terminal.WriteLine(
                $"Group {group.GroupId}: {group.State}, generation {group.GenerationId}, "
                + $"protocol {(group.ProtocolName.Length == 0 ? "-" : group.ProtocolName)}, coordinator {group.CoordinatorBrokerId}");
            application.Terminal.WriteTable(
                ["TOPIC", "PARTITION", "OFFSET", "END", "LAG"],
                progress.Select(p => new[] { p.Topic, $"{p.Partition}", $"{p.Offset}", Shown(p.End), Shown(p.Lag) }));
            application.Terminal.WriteTable(
                ["MEMBER", "INSTANCE", "CLIENT", "HOST"],
                group.Members.Select(m => new[] { m.MemberId, m.GroupInstanceId ?? "-", m.ClientId, m.ClientHost }));
            return ExitCode.Success;
        });

    private static Command Delete(Application application) =>
        application.Connected(
            new Command("delete", "Delete a group that has no members, with its offsets.") { Id },
            async (connection, arguments, cancellationToken) =>
        {
            string id = arguments.GetRequiredValue(Id);
            await connection.Admin.DeleteGroupAsync(id, cancellationToken).ConfigureAwait(false);
            application.Terminal.Error.WriteLine($"Group {id} deleted.");
            return ExitCode.Success;
        });

    private static Command ResetOffsets(Application application)
    {
        Option<string> topic = new("--topic", "-t") { Description = "the topic whose offsets are set", Required = true };
        Option<int[]> partitions =
            new("--partition") { Description = "only these partitions; may be repeated", DefaultValueFactory = _ => [] };
        Option<string> to =
            new("--to") { Description = "earliest, latest, an offset, or a time such as 2026-11-22T10:00:00Z", Required = true };
        Option<bool> dryRun = new("--dry-run") { Description = "show what would be set; set nothing" };
        to.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && !TryParseTarget(result.Tokens[0].Value, out _, out _))
                result.AddError($"'{result.Tokens[0].Value}' is neither earliest, latest, an offset nor a time.");
        });
        var command = new Command("reset-offsets", "Set where a group without members goes on.") { Id, topic, partitions, to, dryRun };
        return application.Connected(command, async (connection, arguments, cancellationToken) =>
        {
            CommittedOffset[] offsets = await TargetsAsync(
                connection.Admin, arguments.GetRequiredValue(topic), arguments.GetValue(partitions)!, arguments.GetRequiredValue(to),
                cancellationToken).ConfigureAwait(false);
            if (!arguments.GetValue(dryRun))
            {
                await connection.Admin.AlterGroupOffsetsAsync(
                    arguments.GetRequiredValue(Id), offsets, cancellationToken).ConfigureAwait(false);
            }

            if (arguments.GetValue(GlobalOptions.Json))
            {
                application.Terminal.WriteJson(offsets.Select(o => new { o.Partition.Topic, o.Partition.Partition, o.Offset }));
            }
            else
            {
                application.Terminal.WriteTable(
                    ["TOPIC", "PARTITION", "OFFSET"], offsets.Select(
                        o => new[] { o.Partition.Topic, $"{o.Partition.Partition}", $"{o.Offset}" }));
            }

            return ExitCode.Success;
        });
    }

    private static async Task<CommittedOffset[]> TargetsAsync(
        IArusAdmin admin, string topic, int[] partitions, string target, CancellationToken cancellationToken)
    {
        TryParseTarget(target, out long? offset, out OffsetSpec spec);
        if (partitions.Length == 0)
        {
            TopicDescription description = await admin.DescribeTopicAsync(topic, cancellationToken).ConfigureAwait(false);
            partitions = [.. Enumerable.Range(0, description.Partitions.Count)];
        }

        var offsets = new List<CommittedOffset>();
        foreach (int partition in partitions)
        {
            var at = new TopicPartition(topic, partition);
            long first = (await admin.ListOffsetAsync(at, OffsetSpec.Earliest, cancellationToken).ConfigureAwait(false)).Offset;
            long end = (await admin.ListOffsetAsync(at, OffsetSpec.Latest, cancellationToken).ConfigureAwait(false)).Offset;
            long found = offset ?? (await admin.ListOffsetAsync(at, spec, cancellationToken).ConfigureAwait(false)).Offset;
            // No record as late as asked: go on at the end. An offset outside the log would only be reset by the consumer.
            offsets.Add(new CommittedOffset(at, found < 0 ? end : Math.Clamp(found, first, end), LeaderEpoch: -1, Metadata: ""));
        }

        return [.. offsets];
    }

    private static bool TryParseTarget(string text, out long? offset, out OffsetSpec spec)
    {
        offset = null;
        spec = text == "earliest" ? OffsetSpec.Earliest : OffsetSpec.Latest;
        if (text is "earliest" or "latest")
            return true;

        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number))
        {
            offset = number;
            return true;
        }

        bool isTime = DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time);
        spec = OffsetSpec.ForTime(time);
        return isTime;
    }

    private static async Task<Progress[]> ProgressAsync(IArusAdmin admin, string group, CancellationToken cancellationToken)
    {
        IReadOnlyList<CommittedOffset> offsets = await admin.ListGroupOffsetsAsync(group, cancellationToken).ConfigureAwait(false);
        var progress = new List<Progress>();
        foreach (CommittedOffset committed in offsets.OrderBy(o => o.Partition.Topic,
            StringComparer.Ordinal).ThenBy(o => o.Partition.Partition))
        {
            long? end = null;
            try
            {
                end = (await admin.ListOffsetAsync(committed.Partition, OffsetSpec.Latest, cancellationToken).ConfigureAwait(false)).Offset;
            }
            catch (ArusException gone) when (gone.Code == ErrorCode.UnknownTopicOrPartition)
            {
                // The topic was deleted; its offsets stay until they expire.
            }

            progress.Add(
                new Progress(committed.Partition.Topic, committed.Partition.Partition, committed.Offset, end, end - committed.Offset));
        }

        return [.. progress];
    }

    private static string Shown(long? number) => number?.ToString(CultureInfo.InvariantCulture) ?? "-";

    private sealed record Progress(string Topic, int Partition, long Offset, long? End, long? Lag);
}
