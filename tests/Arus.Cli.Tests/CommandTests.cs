using Arus.Client;
using System.Text.Json;

namespace Arus.Cli.Tests;

public sealed class CommandTests
{
    [Fact]
    public async Task A_topic_is_created_with_its_partitions_and_configuration()
    {
        var cluster = new FakeCluster();
        var (code, output, _) = await cluster.RunAsync("topic", "create", "visits", "--partitions", "6", "--config", "retention.ms=1000");
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains("visits", output);
        Assert.Equal(6, cluster.Topics["visits"].Partitions.Count);
        Assert.Equal("1000", cluster.Topics["visits"].Configs["retention.ms"]);
    }

    [Theory]
    [InlineData("5", 5)]
    [InlineData("-1", 9)]
    public async Task Records_are_deleted_before_an_offset(string before, long start)
    {
        var cluster = new FakeCluster();
        var partition = new TopicPartition("visits", 2);
        cluster.Logs[partition] = (1, 9);
        var (code, output, _) = await cluster.RunAsync("topic", "delete-records", "visits", "--partition", "2", "--before", before);
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains($"visits-2 begins at offset {start} now", output);
        Assert.Equal((start, 9), cluster.Logs[partition]);
    }

    [Fact]
    public async Task A_refusal_names_its_code_and_fails()
    {
        var cluster = new FakeCluster();
        await cluster.RunAsync("topic", "create", "visits");
        var (code, output, error) = await cluster.RunAsync("topic", "create", "visits");
        Assert.Equal(ExitCode.Failure, code);
        Assert.Empty(output);
        Assert.Contains("[TopicAlreadyExists]", error);
    }

    [Fact]
    public async Task A_cluster_that_does_not_answer_has_an_exit_code_of_its_own()
    {
        var (code, _, error) = await new FakeCluster { Unreachable = true }.RunAsync("topic", "list");
        Assert.Equal(ExitCode.Unreachable, code);
        Assert.Contains("No silo answered", error);
    }

    [Theory]
    [InlineData("topic", "create")]
    [InlineData("topic", "create", "t", "--partitions", "many")]
    [InlineData("topic", "create", "t", "--config", "retention.ms")]
    [InlineData("topic", "alter", "t")]
    [InlineData("topic", "delete-records", "t", "--partition", "0")]
    [InlineData("group", "reset-offsets", "g", "--topic", "t", "--to", "yesterday-ish")]
    [InlineData("consume", "t", "--group", "g", "--exit-at-end")]
    [InlineData("consume", "t", "--format", "xml")]
    [InlineData("produce", "t", "--rate", "0")]
    [InlineData("topic", "list", "--gateway", "127.0.0.1:99999")]
    [InlineData("no-such-command")]
    public async Task A_wrong_command_line_is_told_from_a_refusal(params string[] args)
    {
        var (code, _, error) = await new FakeCluster().RunAsync(args);
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains("--help", error);
    }

    [Fact]
    public async Task Json_is_one_document()
    {
        var (_, output, _) = await new FakeCluster().RunAsync("cluster", "--json");
        using JsonDocument document = JsonDocument.Parse(output);
        Assert.Equal(9092, document.RootElement.GetProperty("brokers")[0].GetProperty("endpoints")[0].GetProperty("port").GetInt32());
    }

    [Fact]
    public async Task Altering_sets_and_unsets_in_one_change()
    {
        var cluster = new FakeCluster();
        await cluster.RunAsync("topic", "alter", "visits", "--config", "retention.ms=5", "--unset", "segment.bytes");
        Assert.Equal(
            [new ConfigChange("retention.ms", ConfigOperation.Set, "5"), new ConfigChange("segment.bytes", ConfigOperation.Delete, null)],
            cluster.Changes);
    }

    [Theory]
    [InlineData("earliest", 10)]
    [InlineData("latest", 90)]
    [InlineData("42", 42)]
    [InlineData("5", 10)]
    [InlineData("500", 90)]
    [InlineData("2100-01-01T00:00:00Z", 90)]
    public async Task Offsets_are_reset_within_the_log(string target, long expected)
    {
        var cluster = new FakeCluster();
        await cluster.RunAsync("topic", "create", "visits");
        cluster.Logs[new TopicPartition("visits", 0)] = (10, 90);
        var (code, _, _) = await cluster.RunAsync("group", "reset-offsets", "readers", "--topic", "visits", "--to", target);
        Assert.Equal(ExitCode.Success, code);
        Assert.Equal(expected, Assert.Single(cluster.Committed).Offset);
    }

    [Fact]
    public async Task A_dry_run_sets_nothing()
    {
        var cluster = new FakeCluster();
        await cluster.RunAsync("topic", "create", "visits");
        cluster.Logs[new TopicPartition("visits", 0)] = (10, 90);
        var (_, output, _) = await cluster.RunAsync(
            "group", "reset-offsets", "readers", "--topic", "visits", "--to", "latest", "--dry-run");
        Assert.Contains("90", output);
        Assert.Empty(cluster.Committed);
    }
}
