namespace Arus.Grains.Tests;

public sealed class TopicConfigChangesTests
{
    private static readonly Dictionary<string, string> Own = new() { ["retention.ms"] = "1000", ["cleanup.policy"] = "compact" };

    [Fact]
    public void Set_and_delete_change_the_keys_they_name()
    {
        Dictionary<string, string> result = Apply(
            Change("retention.ms", ConfigOperation.Delete, null), Change("segment.bytes", ConfigOperation.Set, "2048"));
        Assert.Equal(new Dictionary<string, string> { ["cleanup.policy"] = "compact", ["segment.bytes"] = "2048" }, result);
        Assert.Equal("1000", Own["retention.ms"]);
    }

    [Fact]
    public void Append_and_subtract_edit_lists()
    {
        Assert.Equal("compact,delete", Apply(Change("cleanup.policy", ConfigOperation.Append, "delete"))["cleanup.policy"]);
        Dictionary<string, string> ofDefault = TopicConfigChanges.Apply(
            new Dictionary<string, string>(), [Change("cleanup.policy", ConfigOperation.Append, "compact")], BrokerConfig.Default);
        Assert.Equal("delete,compact", ofDefault["cleanup.policy"]);
        Assert.Contains("the list is empty", Refusal(Change("cleanup.policy", ConfigOperation.Subtract, "compact")));
    }

    [Fact]
    public void One_bad_change_refuses_them_all()
    {
        Assert.Contains(
            "retention.ms=x",
            Refusal(Change("segment.bytes", ConfigOperation.Set, "2048"), Change("retention.ms", ConfigOperation.Set, "x")));
        Assert.Contains("no.such.key", Refusal(Change("no.such.key", ConfigOperation.Set, "1")));
        Assert.Contains("no.such.key", Refusal(Change("no.such.key", ConfigOperation.Delete, null)));
        Assert.Contains(
            "retention.ms is changed twice",
            Refusal(Change("retention.ms", ConfigOperation.Set, "1"), Change("retention.ms", ConfigOperation.Delete, null)));
        Assert.Contains("retention.ms is not a list", Refusal(Change("retention.ms", ConfigOperation.Append, "1")));
        Assert.Contains("a value is needed", Refusal(Change("retention.ms", ConfigOperation.Set, null)));
    }

    [Fact]
    public void Keys_that_contradict_each_other_are_refused() =>
        Assert.Contains(
            "min.compaction.lag.ms=10 is above max.compaction.lag.ms=5",
            Refusal(Change("min.compaction.lag.ms", ConfigOperation.Set, "10"), Change("max.compaction.lag.ms", ConfigOperation.Set, "5")));

    private static ConfigChange Change(string key, ConfigOperation operation, string? value) => new(key, operation, value);

    private static Dictionary<string, string> Apply(params ConfigChange[] changes) =>
        TopicConfigChanges.Apply(Own, changes, BrokerConfig.Default);

    private static string Refusal(params ConfigChange[] changes)
    {
        ArusException refusal = Assert.Throws<ArusException>(() => Apply(changes));
        Assert.Equal(ErrorCode.InvalidConfig, refusal.Code);
        return refusal.Message;
    }
}
