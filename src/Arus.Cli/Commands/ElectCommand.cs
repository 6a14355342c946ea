using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus cluster elect</c></summary>
internal static class ElectCommand
{
    private static readonly Argument<string> Topic = new("topic")
    {
        Description = "the topic; all topics unless given", DefaultValueFactory = _ => "",
    };

    private static readonly Option<int[]> Partitions = new("--partition", "-p")
    {
        Description = "only this partition; may be repeated",
    };

    private static readonly Option<bool> Unclean = new("--unclean")
    {
        Description = "where nobody in sync is left, let a replica lead that is not: records may be lost",
    };

    public static Command Build(Application application)
    {
        var command = new Command("elect", "Let the preferred leaders lead again.") { Topic, Partitions, Unclean };
        command.Validators.Add(result =>
        {
            bool isOfAll = string.IsNullOrEmpty(result.GetValue(Topic));
            if (isOfAll && result.GetValue(Unclean))
                result.AddError("Of which topic? An unclean election may lose records, so it is not made of all topics at once.");
            else if (isOfAll && result.GetResult(Partitions) is not null)
                result.AddError("Of which topic is the partition? Give its name.");
        });
        return application.Connected(command, async run =>
        {
            string topic = run.Get(Topic);
            IReadOnlyList<PartitionOutcome> outcomes = await run.Admin.ElectLeadersAsync(
                run.Get(Unclean) ? LeaderElectionType.Unclean : LeaderElectionType.Preferred,
                topic.Length == 0 ? null : await run.PartitionsAsync(topic, run.Get(Partitions)),
                run.Cancellation);
            OutcomeTable.Write(
                run, outcomes, ErrorCode.ElectionNotNeeded, "elected", "Every partition has the leader that it should have.");
        });
    }
}

/// <summary>Shows what became of an operation on each of several partitions.</summary>
internal static class OutcomeTable
{
    /// <param name="harmless">An error that says that there was nothing to do.</param>
    /// <exception cref="ArusException">An operation failed.</exception>
    public static void Write(
        CommandRun run, IReadOnlyList<PartitionOutcome> outcomes, ErrorCode harmless, string done, string nothing)
    {
        run.Write(outcomes, outcomes.Count == 0 ? [nothing] : Terminal.Table(
            ["PARTITION", "RESULT", "REASON"],
            outcomes.Select(outcome => new object?[]
            {
                outcome.Partition, outcome.Error == ErrorCode.None ? done : outcome.Error, outcome.Message,
            })));
        if (outcomes.FirstOrDefault(outcome => outcome.Error != ErrorCode.None && outcome.Error != harmless) is { } failed)
        {
            int count = outcomes.Count(outcome => outcome.Error != ErrorCode.None && outcome.Error != harmless);
            throw new ArusException(failed.Error, $"{count} of {outcomes.Count} partitions failed; {failed.Partition}: {failed.Message}");
        }
    }
}
