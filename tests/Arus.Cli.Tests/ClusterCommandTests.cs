using System.Text.Json;
using Arus.Client;

namespace Arus.Cli.Tests;

public sealed class ClusterCommandTests
{
    [Fact]
    public async Task The_brokers_are_shown_without_a_subcommand()
    {
        var (code, output, _) = await new FakeCluster().RunAsync("cluster");
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains("PLAINTEXT://localhost:9092", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Describing_shows_what_each_broker_leads_and_keeps()
    {
        var (code, output, _) = await new FakeCluster().RunAsync("cluster", "describe");
        Assert.Equal(ExitCode.Success, code);
        string[] lines = output.Split('\n');
        Assert.Equal("9 partitions: 1 without a leader, 2 under-replicated, 0 being reassigned", lines[0]);
        Assert.Equal(["1", "a", "alive", "3", "6", "0"], lines[3].Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(["2", "-", "away", "0", "3", "2"], lines[4].Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task All_preferred_leaders_are_elected_unless_a_topic_is_named()
    {
        var cluster = new FakeCluster();
        await cluster.RunAsync("topic", "create", "visits", "-p", "3");
        Assert.Equal(ExitCode.Success, (await cluster.RunAsync("cluster", "elect")).Code);
        Assert.Equal(ExitCode.Success, (await cluster.RunAsync("cluster", "elect", "visits", "-p", "2")).Code);
        Assert.Equal(ExitCode.Success, (await cluster.RunAsync("cluster", "elect", "visits", "--unclean")).Code);
        Assert.Equal((LeaderElectionType.Preferred, null), cluster.Elections[0]);
        Assert.Equal([new TopicPartition("visits", 2)], cluster.Elections[1].Partitions!);
        Assert.Equal((LeaderElectionType.Unclean, 3), (cluster.Elections[2].Type, cluster.Elections[2].Partitions!.Length));
    }

    [Fact]
    public async Task An_election_that_is_not_needed_is_no_failure_and_any_other_is()
    {
        var cluster = new FakeCluster();
        await cluster.RunAsync("topic", "create", "visits", "-p", "2");
        cluster.Outcomes[new("visits", 0)] = ErrorCode.ElectionNotNeeded;
        Assert.Equal(ExitCode.Success, (await cluster.RunAsync("cluster", "elect", "visits")).Code);
        cluster.Outcomes[new("visits", 1)] = ErrorCode.PreferredLeaderNotAvailable;
        var (code, output, error) = await cluster.RunAsync("cluster", "elect", "visits");
        Assert.Equal(ExitCode.Failure, code);
        Assert.Contains("1 of 2 partitions failed; visits-1: because of", error, StringComparison.Ordinal);
        Assert.Contains("PreferredLeaderNotAvailable", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_reassignment_is_waited_for_unless_that_is_not_wanted()
    {
        var cluster = new FakeCluster();
        await cluster.RunAsync("topic", "create", "visits", "-p", "2");
        var (code, output, _) = await cluster.RunAsync("cluster", "reassign", "visits", "--replicas", "2,3,1");
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains("begun", output, StringComparison.Ordinal);
        Assert.Equal(3, cluster.Listed);
        Assert.Equal([0, 1], cluster.Reassignments.Select(one => one.Partition.Partition));
        Assert.All(cluster.Reassignments, one => Assert.Equal([2, 3, 1], one.Replicas!));

        await cluster.RunAsync("cluster", "reassign", "visits", "-p", "1", "--replicas", "2", "--no-wait");
        Assert.Equal(3, cluster.Listed);
    }

    [Fact]
    public async Task What_is_under_way_is_listed_and_cancelled()
    {
        var cluster = new FakeCluster();
        await cluster.RunAsync("topic", "create", "visits");
        await cluster.RunAsync("cluster", "reassign", "visits", "--replicas", "2", "--no-wait");
        var (_, output, _) = await cluster.RunAsync("cluster", "reassign", "--json");
        using JsonDocument document = JsonDocument.Parse(output);
        Assert.Equal(2, document.RootElement[0].GetProperty("adding")[0].GetInt32());
        cluster.Outcomes[new("visits", 0)] = ErrorCode.NoReassignmentInProgress;
        Assert.Equal(ExitCode.Success, (await cluster.RunAsync("cluster", "reassign", "visits", "--cancel")).Code);
        Assert.Null(cluster.Reassignments[^1].Replicas);
        Assert.Contains("No reassignment", (await new FakeCluster().RunAsync("cluster", "reassign")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_broker_is_drained_and_what_it_keeps_all_the_same_is_told()
    {
        var cluster = new FakeCluster { Remaining = 2 };
        var (code, output, _) = await cluster.RunAsync("cluster", "drain", "2");
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains("It keeps 3 partitions for which there is no other broker", output, StringComparison.Ordinal);
        Assert.Contains("away, drained", (await cluster.RunAsync("cluster", "describe")).Output, StringComparison.Ordinal);
        cluster.Kept = 0;
        Assert.Contains("nothing, and can be stopped", (await cluster.RunAsync("cluster", "drain", "2")).Output, StringComparison.Ordinal);
        cluster.Remaining = 9;
        Assert.Contains("draining: 9 to go", (await cluster.RunAsync("cluster", "describe")).Output, StringComparison.Ordinal);
        Assert.Contains("it goes on", (await cluster.RunAsync("cluster", "drain", "2", "--no-wait")).Output, StringComparison.Ordinal);
        Assert.Contains("takes leaderships", (await cluster.RunAsync("cluster", "drain", "2", "--undo")).Output, StringComparison.Ordinal);
        Assert.Empty(cluster.Drained);
        Assert.Equal(ExitCode.Failure, (await cluster.RunAsync("cluster", "drain", "9")).Code);
    }

    [Fact]
    public async Task Rebalancing_is_shown_paused_and_resumed()
    {
        var cluster = new FakeCluster();
        Assert.Contains("at work; leaders and replicas are spread", (await cluster.RunAsync("cluster", "rebalance", "status")).Output);
        Assert.Contains("is paused; 4 replicas", (await cluster.RunAsync("cluster", "rebalance", "pause")).Output);
        Assert.Contains("is paused", (await cluster.RunAsync("cluster", "describe")).Output);
        Assert.Contains("at work", (await cluster.RunAsync("cluster", "rebalance", "resume")).Output);
        Assert.False(cluster.IsPaused);
    }

    [Theory]
    [InlineData("rebalance")]
    [InlineData("drain")]
    [InlineData("drain", "two")]
    [InlineData("elect", "--unclean")]
    [InlineData("elect", "-p", "1")]
    [InlineData("reassign", "visits")]
    [InlineData("reassign", "--cancel")]
    [InlineData("reassign", "visits", "--cancel", "--replicas", "1")]
    [InlineData("reassign", "visits", "--replicas", "1,two")]
    public async Task A_wrong_command_line_is_told_from_a_refusal(params string[] args)
    {
        var (code, _, error) = await new FakeCluster().RunAsync(["cluster", .. args]);
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains("--help", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Metadata_is_restored_where_all_replicas_are_there_and_elsewhere_by_force()
    {
        var cluster = new FakeCluster();
        var (code, output, error) = await cluster.RunAsync("cluster", "restore-metadata");
        Assert.Equal(ExitCode.Failure, code);
        Assert.Contains("led by broker 2", output, StringComparison.Ordinal);
        Assert.Contains("1 of 2 partitions failed; a-1: broker 3 is away", error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Success, (await cluster.RunAsync("cluster", "restore-metadata", "--force")).Code);
        cluster.Drained.Add(1);
        (code, output, _) = await cluster.RunAsync("cluster", "restore-metadata");
        Assert.Equal((ExitCode.Success, "The database knows the leader of every partition.\n"), (code, output));
    }
}
