using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus cluster reassign</c></summary>
internal static class ReassignCommand
{
    private static readonly Argument<string> Topic = new("topic")
    {
        Description = "the topic; without one, what is under way is listed", DefaultValueFactory = _ => "",
    };

    private static readonly Option<int[]> Partitions = new("--partition", "-p")
    {
        Description = "only this partition; may be repeated",
    };

    private static readonly Option<int[]> Replicas = new("--replicas", "-r")
    {
        Description = "the brokers that are to keep the partitions, the preferred leader first: 1,2,3",
        CustomParser = ParseBrokers,
    };

    private static readonly Option<bool> Cancel = new("--cancel") { Description = "end what is under way; the replicas stay as they were" };

    private static readonly Option<bool> NoWait = new("--no-wait") { Description = "do not wait until it is over" };

    public static Command Build(Application application)
    {
        var command = new Command("reassign", "Give partitions other replicas, or list what is under way.")
        {
            Topic, Partitions, Replicas, Cancel, NoWait,
        };
        command.Validators.Add(result =>
        {
            bool isList = string.IsNullOrEmpty(result.GetValue(Topic));
            bool isChange = result.GetResult(Replicas) is not null;
            if (isList && (isChange || result.GetValue(Cancel) || result.GetResult(Partitions) is not null))
                result.AddError("Of which topic? Give its name.");
            else if (!isList && isChange == result.GetValue(Cancel))
                result.AddError("Give either --replicas or --cancel.");
        });
        return application.Connected(command, run => run.Get(Topic).Length == 0 ? ListAsync(run) : AlterAsync(run));
    }

    private static async Task ListAsync(CommandRun run)
    {
        IReadOnlyList<PartitionReassignment> all = await run.Admin.ListPartitionReassignmentsAsync(run.Cancellation);
        run.Write(all, all.Count == 0 ? ["No reassignment is under way."] : Terminal.Table(
            ["PARTITION", "REPLICAS", "ADDING", "REMOVING"],
            all.Select(one => new object?[]
            {
                one.Partition, string.Join(',', one.Replicas), string.Join(',', one.Adding), string.Join(',', one.Removing),
            })));
    }

    private static async Task AlterAsync(CommandRun run)
    {
        TopicPartition[] partitions = await run.PartitionsAsync(run.Get(Topic), run.Get(Partitions));
        int[]? replicas = run.Get(Cancel) ? null : run.Get(Replicas);
        IReadOnlyList<PartitionOutcome> outcomes = await run.Admin.AlterPartitionReassignmentsAsync(
            [.. partitions.Select(partition => new NewReassignment(partition, replicas))], run.Cancellation);
        OutcomeTable.Write(
            run, outcomes, replicas is null ? ErrorCode.NoReassignmentInProgress : ErrorCode.None, replicas is null ? "cancelled" : "begun",
            "The topic has no such partition.");
        if (replicas is not null && !run.Get(NoWait))
            await WaitAsync(run, [.. partitions]);
    }

    /// <summary>What is under way goes on when this is interrupted.</summary>
    private static Task WaitAsync(CommandRun run, HashSet<TopicPartition> partitions) => WaitBar.ShowAsync(
        run, "Reassigning", partitions.Count,
        async () =>
        {
            IReadOnlyList<PartitionReassignment> all = await run.Admin.ListPartitionReassignmentsAsync(run.Cancellation);
            return partitions.Count - all.Count(one => partitions.Contains(one.Partition));
        });

    private static int[] ParseBrokers(ArgumentResult result)
    {
        string[] texts = [.. result.Tokens.SelectMany(token => token.Value.Split(','))];
        var brokers = new int[texts.Length];
        for (int i = 0; i < texts.Length; i++)
        {
            if (!int.TryParse(texts[i], NumberStyles.None, CultureInfo.InvariantCulture, out brokers[i]))
                result.AddError($"'{texts[i]}' is no broker's id: --replicas takes ids separated by commas, 1,2,3.");
        }

        return brokers;
    }
}
