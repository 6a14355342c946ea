using System.Collections;

namespace Arus.Server.Tests;

public sealed class ServerConfigurationTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-config-").FullName;

    [Fact]
    public void Flags_win_over_the_environment_and_that_over_the_file()
    {
        string file = Write("""{ "broker.id": 2, "num.partitions": 3, "log.dir": "from-file", "auto.create.topics.enable": false, }""");
        ServerConfiguration loaded = Load(["--log.dir=from-flag"], [("ARUS_LOG_DIR", "from-env"), ("ARUS_NUM_PARTITIONS", "4")], file);
        Assert.Empty(loaded.Faults);
        Assert.Equal(2, loaded.Config.GetInt(BrokerConfigs.BrokerId));
        Assert.Equal(4, loaded.Config.GetInt(BrokerConfigs.NumPartitions));
        Assert.Equal("from-flag", loaded.Config.GetString(BrokerConfigs.LogDir));
        Assert.False(loaded.Config.GetBoolean(BrokerConfigs.AutoCreateTopicsEnable));
        Assert.Equal("environment variable ARUS_NUM_PARTITIONS", loaded.Config[BrokerConfigs.NumPartitions].Origin);
        Assert.Equal(ConfigSource.Default, loaded.Config[BrokerConfigs.Flush].Source);
    }

    [Fact]
    public void Every_mistake_is_reported_at_once()
    {
        string file = Write("""{ "flush": "always", "num.partitions": [1] }""");
        ServerConfiguration loaded = Load(
            ["--broker.id=none", "oops", "--log.dir"], [("ARUS_LOG_DIRR", "x"), ("ARUS_FLUSH", "never")], file);
        Assert.Equal(
            [
                "'oops' is not understood; flags have the form --key=value (try --help)",
                "--log.dir has no value; write --log.dir=value",
                $"num.partitions has a value of kind array; allowed: text, a number, true, false (from {file})",
                "the environment variable ARUS_LOG_DIRR stands for no configuration key; log.dir, for one, is ARUS_LOG_DIR",
                "arus.flush=never: not a flush policy; allowed: always, interval:<milliseconds> or os "
                + "(from environment variable ARUS_FLUSH)",
                "broker.id=none: not a whole number; allowed: 1 or more (from flag --broker.id)",
                $"flush is not a configuration key (from {file})",
            ],
            loaded.Faults);
    }

    [Theory]
    [InlineData("{", "is not valid JSON, at line 1")]
    [InlineData("[]", "is not one JSON object")]
    [InlineData("""{ "broker.id": 1, "broker.id": 2 }""", "broker.id is there twice")]
    public void A_file_that_cannot_be_read_is_refused(string text, string fault) =>
        Assert.Contains(Load([], [], Write(text)).Faults, message => message.Contains(fault, StringComparison.Ordinal));

    [Fact]
    public void A_file_that_was_asked_for_must_exist()
    {
        Assert.Contains("does not exist", Assert.Single(Load(["--config", Path.Combine(_directory, "none.json")], [], "").Faults));
        Assert.Empty(Load([], [], Path.Combine(_directory, "none.json")).Faults);
    }

    [Fact]
    public void Each_key_has_a_variable_of_its_own() =>
        Assert.Equal(BrokerConfigs.All.Count, BrokerConfigs.All.Select(key => ServerConfiguration.VariableOf(key.Name)).Distinct().Count());

    [Theory]
    [InlineData("log.dir", "ARUS_LOG_DIR")]
    [InlineData("arus.flush", "ARUS_FLUSH")]
    [InlineData("orleans.silo.port", "ARUS_ORLEANS_SILO_PORT")]
    public void A_variable_is_named_after_its_key(string key, string variable) =>
        Assert.Equal(variable, ServerConfiguration.VariableOf(key));

    [Fact]
    public void Keys_of_earlier_versions_are_refused_with_what_to_do_instead()
    {
        string file = Write("""{ "arus.metadata.dir": "data/cluster" }""");
        IReadOnlyList<string> faults = Load([], [("ARUS_ORLEANS_PRIMARY_ENDPOINT", "127.0.0.1:11111")], file).Faults;
        Assert.Equal(2, faults.Count);
        Assert.StartsWith("arus.metadata.dir is no configuration key any more: ", faults[0]);
        Assert.StartsWith("orleans.primary.endpoint is no configuration key any more: ", faults[1]);
        Assert.All(faults, fault => Assert.Contains("arus.database (ARUS_DATABASE)", fault));
    }

    [Fact]
    public void The_password_of_the_database_is_in_no_message()
    {
        IReadOnlyList<string> faults = Load([], [("ARUS_DATABASE", " "), ("ARUS_BROKER_ID", "x")], "").Faults;
        Assert.Contains("arus.database=?: the value is empty; allowed: a text (from environment variable ARUS_DATABASE)", faults);
        Assert.True(BrokerConfigs.Find(BrokerConfigs.Database)!.IsSensitive);
    }

    [Fact]
    public void Variables_of_other_programs_are_left_alone() =>
        Assert.Empty(Load([], [("ARUS_CLI_FORMAT", "json"), ("PATH", "/bin")], "").Faults);

    [Theory]
    [InlineData("single.json")]
    [InlineData("cluster.json")]
    [InlineData("database.json")]
    public void The_files_that_come_with_it_are_right(string file) =>
        Assert.Empty(Load(["--config", Path.Combine(AppContext.BaseDirectory, "silo-config", file)], [], "").Faults);

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static ServerConfiguration Load(string[] arguments, (string Name, string Value)[] environment, string defaultFile)
    {
        var variables = new Hashtable();
        foreach ((string name, string value) in environment)
            variables[name] = value;

        return ServerConfiguration.Load(arguments, variables, defaultFile);
    }

    private string Write(string json)
    {
        string file = Path.Combine(_directory, $"{Guid.NewGuid():n}.json");
        File.WriteAllText(file, json);
        return file;
    }
}
