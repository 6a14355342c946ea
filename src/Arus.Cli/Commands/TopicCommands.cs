using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus topic …</c></summary>
internal static class TopicCommands
{
    private static readonly Argument<string> Name = new("name") { Description = "the topic's name" };

    public static Command Build(Application application) => new("topic", "Create, list, describe, alter and delete topics.")
    {
        Create(application), List(application), Describe(application), Alter(application), Delete(application),
    };

    private static Command Create(Application application)
    {
        Option<int> partitions =
            new("--partitions", "-p") { Description = "how many; the brokers' num.partitions unless given", DefaultValueFactory = _ => -1 };
        Option<short> replicas =
            new("--replication-factor", "-r") { Description = "copies of each partition", DefaultValueFactory = _ => -1 };
        Option<string[]> configs = ConfigOption("a configuration key, key=value; may be repeated");
        Option<bool> validateOnly = new("--validate-only") { Description = "check only; create nothing" };
        var command = new Command("create", "Create a topic.") { Name, partitions, replicas, configs, validateOnly };
        return application.Connected(command, async (connection, arguments, cancellationToken) =>
        {
            var topic = new NewTopic(arguments.GetRequiredValue(Name), arguments.GetValue(partitions), arguments.GetValue(replicas))
            {
                Configs = arguments.GetValue(configs)!.Select(KeyValue).ToDictionary(c => c.Key, c => c.Value),
                ValidateOnly = arguments.GetValue(validateOnly),
            };
            TopicDescription created = await connection.Admin.CreateTopicAsync(topic, cancellationToken).ConfigureAwait(false);
            if (arguments.GetValue(GlobalOptions.Json))
            {
                application.Terminal.WriteJson(created);
            }
            else
            {
                string done = topic.ValidateOnly ? "can be created" : "created";
                application.Terminal.WriteLine(
                    $"Topic {created.Name} {done}: {created.Partitions.Count} partitions, id {KafkaUuid.Format(created.Id)}");
            }

            return ExitCode.Success;
        });
    }

    private static Command List(Application application)
    {
        Option<bool> all = new("--all") { Description = "internal topics too" };
        return application.Connected(new Command("list", "List topics.") { all }, async (connection, arguments, cancellationToken) =>
        {
            IReadOnlyList<TopicListing> topics = await connection.Admin.ListTopicsAsync(
                arguments.GetValue(all), cancellationToken).ConfigureAwait(false);
            if (arguments.GetValue(GlobalOptions.Json))
                application.Terminal.WriteJson(topics);
            else
                application.Terminal.WriteTable(["TOPIC", "PARTITIONS"], topics.Select(t => new[] { t.Name, $"{t.Partitions}" }));

            return ExitCode.Success;
        });
    }

    private static Command Describe(Application application) =>
        application.Connected(
            new Command("describe", "Show a topic, its configuration and its partitions.") { Name },
            async (connection, arguments, cancellationToken) =>
        {
            string name = arguments.GetRequiredValue(Name);
            TopicDescription topic = await connection.Admin.DescribeTopicAsync(name, cancellationToken).ConfigureAwait(false);
            IReadOnlyList<PartitionDescription> logs = await connection.Admin.DescribePartitionsAsync(
                name, cancellationToken).ConfigureAwait(false);
            if (arguments.GetValue(GlobalOptions.Json))
            {
                application.Terminal.WriteJson(new { topic.Name, Id = KafkaUuid.Format(topic.Id), topic.Configs, Partitions = logs });
                return ExitCode.Success;
            }

            application.Terminal.WriteLine($"Topic {topic.Name}, id {KafkaUuid.Format(topic.Id)}");
            foreach ((string key, string value) in topic.Configs.OrderBy(c => c.Key, StringComparer.Ordinal))
                application.Terminal.WriteLine($"  {key}={value}");

            application.Terminal.WriteTable(
                ["PARTITION", "LEADER", "EPOCH", "START", "END", "BYTES", "SEGMENTS", "ERROR"],
                logs.Select((log, partition) => new[]
                {
                    $"{partition}", $"{log.Leader}", $"{log.LeaderEpoch}", $"{log.LogStartOffset}", $"{log.HighWatermark}",
                    $"{log.SizeBytes}",
                    $"{log.Segments}", log.Error == ErrorCode.None ? "" : $"{log.Error}",
                }));
            return ExitCode.Success;
        });

    private static Command Alter(Application application)
    {
        Option<string[]> configs = ConfigOption("set a configuration key, key=value; may be repeated");
        Option<string[]> unset =
            new("--unset") { Description = "return a configuration key to its default; may be repeated", DefaultValueFactory = _ => [] };
        Option<int> partitions = new("--partitions", "-p") { Description = "raise the number of partitions to this" };
        var command = new Command(
            "alter", "Change a topic's configuration, or raise its number of partitions.") { Name, configs, unset, partitions };
        command.Validators.Add(result =>
        {
            if (result.GetResult(partitions) is null
                && result.GetResult(configs) is not { Implicit: false } && result.GetResult(unset) is not { Implicit: false })
            {
                result.AddError("Nothing to alter: give --config, --unset or --partitions.");
            }
        });
        return application.Connected(command, async (connection, arguments, cancellationToken) =>
        {
            string name = arguments.GetRequiredValue(Name);
            ConfigChange[] changes =
            [
                .. arguments.GetValue(configs)!.Select(KeyValue).Select(c => new ConfigChange(c.Key, ConfigOperation.Set, c.Value)),
                .. arguments.GetValue(unset)!.Select(key => new ConfigChange(key, ConfigOperation.Delete, null)),
            ];
            if (changes.Length > 0)
                await connection.Admin.AlterTopicConfigsAsync(name, changes, cancellationToken).ConfigureAwait(false);

            if (arguments.GetResult(partitions) is not null)
                await connection.Admin.CreatePartitionsAsync(name, arguments.GetValue(partitions), cancellationToken).ConfigureAwait(false);

            application.Terminal.Error.WriteLine($"Topic {name} altered.");
            return ExitCode.Success;
        });
    }

    private static Command Delete(Application application) =>
        application.Connected(
            new Command("delete", "Delete a topic and its records.") { Name }, async (connection, arguments, cancellationToken) =>
        {
            string name = arguments.GetRequiredValue(Name);
            await connection.Admin.DeleteTopicAsync(name, cancellationToken).ConfigureAwait(false);
            application.Terminal.Error.WriteLine($"Topic {name} deleted.");
            return ExitCode.Success;
        });

    private static Option<string[]> ConfigOption(string description)
    {
        Option<string[]> option = new("--config", "-c") { Description = description, DefaultValueFactory = _ => [] };
        option.Validators.Add(result =>
        {
            foreach (string text in result.Tokens.Select(t => t.Value).Where(t => t.IndexOf('=') <= 0))
                result.AddError($"'{text}' is not key=value.");
        });
        return option;
    }

    private static (string Key, string Value) KeyValue(string text)
    {
        int equals = text.IndexOf('=');
        return (text[..equals], text[(equals + 1)..]);
    }
}
