namespace Arus.Grains.Tests;

public sealed class TopicConfigChangesTests
{
    private static readonly Dictionary<string, string> Own = new() { ["retention.ms"] = "1000", ["cleanup.policy"] = "compact" };

    [Fact]
    public void Set_and_delete_change_the_keys_they_name()
    {
        Dictionary<string, string> result = Apply(
            Change("retention.ms", ConfigOperation.Delete, null), Change("segment.bytes", ConfigOperation.Set, "2097152"));
        Assert.Equal(new Dictionary<string, string> { ["cleanup.policy"] = "compact", ["segment.bytes"] = "2097152" }, result);
        Assert.Equal("1000", Own["retention.ms"]);
    }

    [Fact]
    public void Append_and_subtract_edit_lists()
    {
        Assert.Equal("compact,delete", Apply(Change("cleanup.policy", ConfigOperation.Append, "delete"))["cleanup.policy"]);
        Dictionary<string, string> ofDefault = TopicConfigChanges.Apply(
            new Dictionary<string, string>(), [Change("cleanup.policy", ConfigOperation.Append, "compact")], BrokerConfig.Default);
        Assert.Equal("delete,compact", ofDefault["cleanup.policy"]);
        Assert.Equal("", Apply(Change("cleanup.policy", ConfigOperation.Subtract, "compact"))["cleanup.policy"]);
        Assert.Equal("compact", Apply(Change("cleanup.policy", ConfigOperation.Subtract, ""))["cleanup.policy"]);
        Assert.Contains("an item of the list is empty", Refusal(Change("cleanup.policy", ConfigOperation.Append, "")));
    }

    [Fact]
    public void One_bad_change_refuses_them_all()
    {
        Assert.Contains(
            "retention.ms=x",
            Refusal(Change("segment.bytes", ConfigOperation.Set, "2097152"), Change("retention.ms", ConfigOperation.Set, "x")));
        Assert.Contains("no.such.key", Refusal(Change("no.such.key", ConfigOperation.Set, "1")));
        Assert.Contains("retention.ms is not a list", Refusal(Change("retention.ms", ConfigOperation.Append, "1")));
    }

    [Fact]
    public void A_key_that_is_not_set_can_be_deleted_whatever_its_name() =>
        Assert.Equal(Own, Apply(Change("no.such.key", ConfigOperation.Delete, null), Change("segment.ms", ConfigOperation.Delete, null)));

    [Theory]
    [InlineData(ConfigOperation.Set)]
    [InlineData(ConfigOperation.Append)]
    [InlineData(ConfigOperation.Subtract)]
    public void A_null_value_is_a_fault_of_the_request(ConfigOperation operation) => Assert.Contains(
        "cleanup.policy is given no value", Refusal(ErrorCode.InvalidRequest, Change("cleanup.policy", operation, null)));

    [Fact]
    public void A_key_named_twice_is_a_fault_of_the_request() => Assert.Contains(
        "retention.ms is changed twice",
        Refusal(
            ErrorCode.InvalidRequest,
            Change("retention.ms", ConfigOperation.Set, "x"), Change("retention.ms", ConfigOperation.Delete, null)));

    [Fact]
    public void Values_are_kept_as_parsed()
    {
        Dictionary<string, string> kept = Apply(
            Change("preallocate", ConfigOperation.Set, " FALSE"), Change("retention.ms", ConfigOperation.Set, "+7"),
            Change("min.cleanable.dirty.ratio", ConfigOperation.Set, ".5"),
            Change("cleanup.policy", ConfigOperation.Set, "delete, delete"));
        Assert.Equal(
            ["delete", "0.5", "false", "7"], kept.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => pair.Value));
    }

    [Fact]
    public void Keys_that_contradict_each_other_are_refused() =>
        Assert.Contains(
            "min.compaction.lag.ms=10 is above max.compaction.lag.ms=5",
            Refusal(Change("min.compaction.lag.ms", ConfigOperation.Set, "10"), Change("max.compaction.lag.ms", ConfigOperation.Set, "5")));

    /// <summary>Kafka's keys allow for 0.</summary>
    [Theory]
    [InlineData("log.cleaner.backoff.ms", "0", 50)]
    [InlineData("log.cleaner.backoff.ms", "20000", 20_000)]
    [InlineData("log.retention.check.interval.ms", "1000", 1000)]
    public void Logs_are_maintained_as_often_as_the_shorter_of_two_keys_says(string key, string value, int milliseconds) =>
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), PartitionMaintenance.Interval(BrokerConfig.Default.WithDynamic(
            new Dictionary<string, string> { ["log.cleaner.backoff.ms"] = "60000", [key] = value }, new Dictionary<string, string>())));

    private static ConfigChange Change(string key, ConfigOperation operation, string? value) => new(key, operation, value);

    private static Dictionary<string, string> Apply(params ConfigChange[] changes) =>
        TopicConfigChanges.Apply(Own, changes, BrokerConfig.Default);

    private static string Refusal(params ConfigChange[] changes) => Refusal(ErrorCode.InvalidConfig, changes);

    private static string Refusal(ErrorCode code, params ConfigChange[] changes)
    {
        ArusException refusal = Assert.Throws<ArusException>(() => Apply(changes));
        Assert.Equal(code, refusal.Code);
        return refusal.Message;
    }
}
