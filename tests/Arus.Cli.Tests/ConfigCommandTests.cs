using System.Text.Json;
using Arus.Client;

namespace Arus.Cli.Tests;

public sealed class ConfigCommandTests
{
    [Fact]
    public async Task Describing_shows_what_is_set_and_with_all_what_is_not()
    {
        var cluster = new FakeCluster();
        var (code, output, _) = await cluster.RunAsync("config", "describe", "broker", "1");
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains("Broker.of.1", output);
        Assert.Contains("DynamicBroker", output);
        Assert.Contains("(not told)", output);
        Assert.DoesNotContain("at.default", output);
        Assert.Contains("at.default", (await cluster.RunAsync("config", "describe", "broker", "1", "--all")).Output);
        Assert.DoesNotContain("secret", (await cluster.RunAsync("config", "describe", "broker", "1", "--key", "at.default")).Output);
    }

    [Fact]
    public async Task Json_is_one_document()
    {
        var (_, output, _) = await new FakeCluster().RunAsync("config", "describe", "group", "g", "--json");
        using JsonDocument document = JsonDocument.Parse(output);
        Assert.Equal("Group.of.g", document.RootElement[0].GetProperty("name").GetString());
    }

    [Fact]
    public async Task Altering_makes_one_change_of_all_options()
    {
        var cluster = new FakeCluster();
        var (code, _, error) = await cluster.RunAsync(
            "config", "alter", "topic", "visits", "--set", "retention.ms=5", "--unset", "segment.ms", "--append", "cleanup.policy=compact",
            "--subtract", "cleanup.policy=delete");
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains("topic visits is altered", error);
        Assert.Equal((ConfigResourceType.Topic, "visits", false), Assert.Single(cluster.Altered));
        Assert.Equal(
            [
                new ConfigChange("segment.ms", ConfigOperation.Delete, null), new ConfigChange("retention.ms", ConfigOperation.Set, "5"),
                new ConfigChange("cleanup.policy", ConfigOperation.Append, "compact"),
                new ConfigChange("cleanup.policy", ConfigOperation.Subtract, "delete"),
            ],
            cluster.Changes);
    }

    [Fact]
    public async Task All_brokers_are_meant_when_none_is_named()
    {
        var cluster = new FakeCluster();
        var (_, _, error) = await cluster.RunAsync("config", "alter", "broker", "--set", "message.max.bytes=5", "--validate-only");
        Assert.Contains("all brokers can be altered", error);
        Assert.Equal((ConfigResourceType.Broker, "", true), Assert.Single(cluster.Altered));
    }

    [Fact]
    public async Task A_refusal_names_the_key_and_its_code()
    {
        var (code, _, error) = await new FakeCluster().RunAsync("config", "alter", "logger", "1", "--set", "root=x");
        Assert.Equal(ExitCode.Failure, code);
        Assert.Contains("root=x: not a whole number [InvalidConfig]", error);
    }

    [Theory]
    [InlineData("describe", "topic")]
    [InlineData("describe", "logger")]
    [InlineData("describe", "table", "x")]
    [InlineData("alter", "broker", "1")]
    [InlineData("alter", "group", "--set", "a=b")]
    [InlineData("alter", "broker", "1", "--set", "a")]
    [InlineData("alter", "broker", "1", "--append", "=b")]
    public async Task A_wrong_command_line_is_told_from_a_refusal(params string[] args)
    {
        var (code, _, error) = await new FakeCluster().RunAsync(["config", .. args]);
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains("--help", error);
    }
}
