namespace Arus.Model.Tests.Configuration;

public sealed class ConfigTests
{
    public static TheoryData<ConfigDefinition> Keys() => new(
        TopicConfigs.All.Concat(BrokerConfigs.All).Concat(ConfigTable.Groups.All).Concat(ConfigTable.ClientMetrics.All));

    [Theory, MemberData(nameof(Keys))]
    public void A_default_is_allowed_by_its_own_key(ConfigDefinition key)
    {
        if (key.Default is not null)
            Assert.Null(key.Validate(key.Default));

        Assert.NotEmpty(key.Documentation);
        Assert.NotEmpty(key.Allowed);
    }

    [Fact]
    public void A_time_that_is_never_over_is_the_longest_there_is_in_whole_milliseconds() => Assert.Equal(
        TimeSpan.FromTicks(TimeSpan.MaxValue.Ticks - (TimeSpan.MaxValue.Ticks % TimeSpan.TicksPerMillisecond)),
        BrokerConfig.Of((BrokerConfigs.ConnectionsMaxIdleMs, $"{long.MaxValue}")).GetMilliseconds(BrokerConfigs.ConnectionsMaxIdleMs));

    [Fact]
    public void A_timer_takes_any_period_that_may_be_configured()
    {
        BrokerConfig config = BrokerConfig.Of((BrokerConfigs.LogRetentionCheckIntervalMs, $"{long.MaxValue}"));
        using var timer = new PeriodicTimer(config.GetTimerPeriod(BrokerConfigs.LogRetentionCheckIntervalMs));
        Assert.Equal(TimeSpan.FromMilliseconds(uint.MaxValue - 1), timer.Period);
    }

    [Fact]
    public void A_topic_key_without_a_value_of_its_own_takes_the_brokers()
    {
        foreach (ConfigDefinition key in TopicConfigs.All.Where(key => key.BrokerKey is not null))
        {
            Assert.NotNull(BrokerConfigs.Find(key.BrokerKey!));
            Assert.Equal(key.Default, BrokerConfig.Default.Effective(key.BrokerKey!).Value);
        }
    }

    [Theory]
    [InlineData("retention.ms", "soon", "retention.ms=soon: not a whole number; allowed: -1 or more")]
    [InlineData("retention.ms", "-2", "retention.ms=-2: out of range; allowed: -1 or more")]
    [InlineData("segment.bytes", "99999999999", "segment.bytes=99999999999: out of range; allowed: 1048576 or more")]
    [InlineData("segment.bytes", "1048575", "segment.bytes=1048575: out of range; allowed: 1048576 or more")]
    [InlineData(
        "cleanup.policy", "compact,shred",
        "cleanup.policy=compact,shred: 'shred' is not allowed; allowed: a comma-separated list of: compact, delete")]
    [InlineData("min.cleanable.dirty.ratio", "1.5", "min.cleanable.dirty.ratio=1.5: out of range; allowed: 0 to 1")]
    [InlineData("unclean.leader.election.enable", "perhaps", "unclean.leader.election.enable=perhaps: not a boolean; allowed: true, false")]
    [InlineData("retention", "1", "retention is not a topic configuration key")]
    public void A_bad_topic_value_is_refused_by_name(string key, string value, string message) =>
        Assert.Equal(message, TopicConfigs.Validate(key, value));

    /// <summary>As Apache Kafka 4.4.0 reads and tells them.</summary>
    [Theory]
    [InlineData("preallocate", "FALSE", "false")]
    [InlineData("preallocate", " True ", "true")]
    [InlineData("retention.ms", "+7", "7")]
    [InlineData("retention.ms", "7 ", "7")]
    [InlineData("min.cleanable.dirty.ratio", "0", "0.0")]
    [InlineData("min.cleanable.dirty.ratio", ".5", "0.5")]
    [InlineData("min.cleanable.dirty.ratio", "1e-4", "1.0E-4")]
    [InlineData("min.cleanable.dirty.ratio", "1e-3", "0.001")]
    [InlineData("min.cleanable.dirty.ratio", "0.00012", "1.2E-4")]
    [InlineData("cleanup.policy", "delete,delete", "delete")]
    [InlineData("cleanup.policy", "compact , delete", "compact,delete")]
    [InlineData("cleanup.policy", "", "")]
    [InlineData("follower.replication.throttled.replicas", "0:1,1:1", "0:1,1:1")]
    [InlineData("compression.gzip.level", "-1", "-1")]
    public void A_value_is_kept_as_it_is_parsed(string key, string value, string kept)
    {
        Assert.Null(TopicConfigs.Validate(key, value));
        Assert.Equal(kept, TopicConfigs.Find(key)!.Normalize(value));
        Assert.Equal(kept, TopicConfigs.Find(key)!.Normalize(kept));
    }

    [Theory]
    [InlineData("preallocate", "yes")]
    [InlineData("retention.ms", "0x10")]
    [InlineData("retention.ms", "1_000")]
    [InlineData("retention.ms", "1.5")]
    [InlineData("retention.ms", "9223372036854775808")]
    [InlineData("cleanup.policy", "delete,")]
    [InlineData("cleanup.policy", "none")]
    [InlineData("compression.type", "GZIP")]
    [InlineData("compression.gzip.level", "0")]
    [InlineData("compression.lz4.level", "18")]
    [InlineData("compression.zstd.level", "23")]
    [InlineData("max.decompressed.message.bytes", "2147483640")]
    [InlineData("leader.replication.throttled.replicas", "0:1:2")]
    [InlineData("remote.storage.enable", "true")]
    public void A_value_that_Kafka_refuses_is_refused(string key, string value) => Assert.NotNull(TopicConfigs.Validate(key, value));

    /// <summary>The number of keys that Apache Kafka 4.4.0 tells; see tests/compat for the comparison of each.</summary>
    [Fact]
    public void Every_key_of_Kafka_is_known()
    {
        Assert.Equal(37, TopicConfigs.All.Count(key => key.Name.Split('.')[0] != "arus"));
        Assert.Equal(350, BrokerConfigs.All.Count(key => key.Name.Split('.')[0] is not ("arus" or "orleans")));
        Assert.Equal(21, ConfigTable.Groups.All.Count);
        Assert.Equal(3, ConfigTable.ClientMetrics.All.Count);
    }

    [Fact]
    public void Dynamic_values_come_before_those_of_the_start_and_the_brokers_own_before_those_of_all()
    {
        BrokerConfig start = BrokerConfig.Of(("message.max.bytes", "1"), ("log.retention.hours", "2"));
        BrokerConfig config = start.WithDynamic(
            new Dictionary<string, string> { ["message.max.bytes"] = "3" },
            new Dictionary<string, string> { ["message.max.bytes"] = "4", ["log.retention.bytes"] = "5", ["log.retention.ms"] = "6" });
        Assert.Equal((3, 5), (config.GetInt("message.max.bytes"), config.GetInt("log.retention.bytes")));
        Assert.Equal(
            [("3", 2), ("4", 3), ("1", 4), ("1048588", 5)],
            Told("message.max.bytes").Select(synonym => (synonym.Value!, synonym.Source)));
        Assert.Equal(6, TopicConfig.Resolve(new Dictionary<string, string>(), config).RetentionMs);
        Assert.Equal(
            [("log.retention.ms", "6", 3), ("log.retention.hours", "2", 4), ("log.retention.hours", "168", 5)], Told("log.retention.ms"));
        Assert.Equal(("1", 7_200_000L), (
            config.WithDynamic(new Dictionary<string, string>(), new Dictionary<string, string>()).GetString("message.max.bytes"),
            TopicConfig.Resolve(new Dictionary<string, string>(), start).RetentionMs));

        IEnumerable<(string Name, string? Value, int Source)> Told(string key) =>
            config.Synonyms(key).Select(synonym => (synonym.Name, synonym.Value.Value, (int)synonym.Value.Source));
    }

    [Fact]
    public void Jitter_and_flushing_have_keys_in_other_units()
    {
        var none = new Dictionary<string, string>();
        Assert.Equal(7_200_000, TopicConfig.Resolve(none, BrokerConfig.Of(("log.roll.jitter.hours", "2"))).SegmentJitterMs);
        BrokerConfig both = BrokerConfig.Of(("log.roll.jitter.hours", "2"), ("log.roll.jitter.ms", "3"));
        Assert.Equal(3, TopicConfig.Resolve(none, both).SegmentJitterMs);
        Assert.Equal(4, TopicConfig.Resolve(none, BrokerConfig.Of(("log.flush.scheduler.interval.ms", "4"))).FlushMs);
        Assert.Equal(5, TopicConfig.Resolve(none, BrokerConfig.Of(("log.flush.interval.ms", "5"))).FlushMs);
    }

    [Fact]
    public void Two_names_of_one_thing_have_one_value()
    {
        BrokerConfig config = BrokerConfig.Of(("node.id", "7"), ("log.dir", "a"), ("log.dirs", "b"));
        Assert.Equal(("7", "7"), (config.GetString("broker.id"), config.GetString("node.id")));
        Assert.Equal(("b", "b"), (config.GetString("log.dir"), config.GetString("log.dirs")));
        Assert.Equal("a", BrokerConfig.Of(("log.dir", "a")).GetString("log.dirs"));
        var set = new Dictionary<string, ConfigValue>
        {
            ["broker.id"] = new("1", ConfigSource.StaticBroker, "a"), ["node.id"] = new("2", ConfigSource.StaticBroker, "b"),
        };
        Assert.Contains("broker.id=1 (from a) and node.id=2 differ", Assert.Single(BrokerConfigs.Validate(set)));
    }

    [Fact]
    public void A_key_without_effect_says_why()
    {
        Assert.Equal("Without effect: Arus has no tiered storage.", TopicConfigs.Find("local.retention.ms")!.Documentation);
        Assert.All(BrokerConfigs.All.Where(key => !key.IsHonoured), key => Assert.StartsWith("Without effect: ", key.Documentation));
    }

    [Fact]
    public void A_key_for_one_listener_is_known()
    {
        Assert.True(BrokerConfigs.Find("listener.name.internal.ssl.keystore.password")!.IsSensitive);
        Assert.NotNull(BrokerConfigs.Find("listener.name.internal.scram-sha-256.sasl.jaas.config"));
        Assert.Null(BrokerConfigs.Find("listener.name.internal.nothing"));
        Assert.Null(BrokerConfigs.Find("listener.name.internal"));
    }

    [Fact]
    public void An_internal_key_is_known_and_not_told()
    {
        Assert.DoesNotContain(TopicConfigs.All, key => key.Name == TopicConfigs.InternalSegmentBytes);
        var own = new Dictionary<string, string> { ["internal.segment.bytes"] = "1024", ["segment.bytes"] = "2097152" };
        Assert.Equal(1024, TopicConfig.Resolve(own, BrokerConfig.Default).SegmentBytes);
    }

    [Theory]
    [InlineData("always", true)]
    [InlineData("os", true)]
    [InlineData("interval:100", true)]
    [InlineData("interval:0", false)]
    [InlineData("interval:", false)]
    [InlineData("interval:-5", false)]
    [InlineData("sometimes", false)]
    public void A_flush_policy_is_one_of_three(string text, bool valid) =>
        Assert.Equal(valid, BrokerConfigs.Find(BrokerConfigs.Flush)!.Validate(text) is null);

    [Fact]
    public void Retention_counts_in_the_finest_unit_that_is_set()
    {
        var none = new Dictionary<string, string>();
        Assert.Equal(168L * 3_600_000, TopicConfig.Resolve(none, BrokerConfig.Default).RetentionMs);
        Assert.Equal(3_600_000, TopicConfig.Resolve(none, BrokerConfig.Of(("log.retention.hours", "1"))).RetentionMs);
        BrokerConfig minutes = BrokerConfig.Of(("log.retention.hours", "1"), ("log.retention.minutes", "2"));
        Assert.Equal(120_000, TopicConfig.Resolve(none, minutes).RetentionMs);
        Assert.Equal(5, TopicConfig.Resolve(none, BrokerConfig.Of(("log.retention.minutes", "2"), ("log.retention.ms", "5"))).RetentionMs);
        Assert.Equal(-1, TopicConfig.Resolve(none, BrokerConfig.Of(("log.retention.hours", "-1"))).RetentionMs);
        Assert.Equal(7, TopicConfig.Resolve(new Dictionary<string, string> { ["retention.ms"] = "7" }, BrokerConfig.Default).RetentionMs);
    }

    [Fact]
    public void Every_mistake_of_a_broker_is_reported_with_where_it_came_from()
    {
        var set = new Dictionary<string, ConfigValue>
        {
            ["broker.id"] = new("0", ConfigSource.StaticBroker, "flag --broker.id"),
            ["log.dirr"] = new("x", ConfigSource.StaticBroker, "single.json"),
            ["listeners"] = new("localhost:9092", ConfigSource.StaticBroker, "ARUS_LISTENERS"),
        };
        Assert.Equal(
            [
                "broker.id=0: out of range; allowed: 1 or more (from flag --broker.id)",
                "listeners=localhost:9092: 'localhost:9092' does not have the form NAME://host:port; " +
                "allowed: NAME://host:port, several separated by commas (from ARUS_LISTENERS)",
                "log.dirr is not a configuration key; did you mean log.dir? (from single.json)",
            ],
            BrokerConfigs.Validate(set));
    }

    [Fact]
    public void Keys_that_contradict_each_other_are_reported()
    {
        var set = new Dictionary<string, ConfigValue>
        {
            ["group.min.session.timeout.ms"] = new("5000", ConfigSource.StaticBroker, "a"),
            ["group.max.session.timeout.ms"] = new("4000", ConfigSource.StaticBroker, "b"),
        };
        string fault = Assert.Single(BrokerConfigs.Validate(set));
        Assert.Contains("group.min.session.timeout.ms=5000 (from a) is above group.max.session.timeout.ms=4000 (from b)", fault);
    }

    [Theory]
    [InlineData("127.0.0.1:9092", "127.0.0.1", 9092)]
    [InlineData("[::1]:9092", "::1", 9092)]
    [InlineData(":0", "", 0)]
    public void An_address_is_read(string text, string host, int port)
    {
        Assert.True(Endpoints.TryParseHostPort(text, out HostPort address));
        Assert.Equal(new HostPort(host, port), address);
    }

    [Theory]
    [InlineData("")]
    [InlineData("host")]
    [InlineData("host:")]
    [InlineData("host:65536")]
    [InlineData("host:-1")]
    [InlineData("::1:9092")]
    [InlineData("a b:1")]
    public void What_is_no_address_is_refused(string text) => Assert.False(Endpoints.TryParseHostPort(text, out _));

    [Fact]
    public void Listeners_have_names_of_their_own()
    {
        Assert.True(Endpoints.TryParse("PLAINTEXT://a:1,OTHER://[::1]:0", out Listener[]? listeners, out _));
        Assert.Equal([new Listener("PLAINTEXT", "a", 1), new Listener("OTHER", "::1", 0)], listeners);
        Assert.False(Endpoints.TryParse("A://a:1,a://b:2", out _, out string? fault));
        Assert.Equal("two listeners share a name", fault);
    }
}
