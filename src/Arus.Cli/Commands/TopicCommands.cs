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
        DeleteRecords(application),
    };

    private static Command Create(Application application)
    {
        Option<int> partitions =
            new("--partitions", "-p") { Description = "how many; the brokers' num.partitions unless given", DefaultValueFactory = _ => -1 };
        Option<short> replicas =
            new("--replication-factor", "-r") { Description = "copies of each partition", DefaultValueFactory = _ => -1 };
        Option<string[]> configs = ConfigCommands.KeyValues("--config", "-c", "a configuration key, key=value; may be repeated");
        Option<bool> validateOnly = new("--validate-only") { Description = "check only; create nothing" };
        var command = new Command("create", "Create a topic.") { Name, partitions, replicas, configs, validateOnly };
        return application.Connected(command, async run =>
        {
            var topic = new NewTopic(run.Get(Name), run.Get(partitions), run.Get(replicas))
            {
                Configs = ConfigCommands.Changes(run.Get(configs), ConfigOperation.Set).ToDictionary(c => c.Key, c => c.Value!),
                ValidateOnly = run.Get(validateOnly),
            };
            TopicDescription created = await run.Admin.CreateTopicAsync(topic, run.Cancellation);
            string done = topic.ValidateOnly ? "can be created" : "created";
            run.Write(
                created, $"Topic {created.Name} {done}: {created.Partitions.Count} partitions, id {KafkaUuid.Format(created.Id)}");
        });
    }

    private static Command List(Application application)
    {
        Option<bool> all = new("--all") { Description = "internal topics too" };
        return application.Connected(new Command("list", "List topics.") { all }, async run =>
        {
            IReadOnlyList<TopicListing> topics = await run.Admin.ListTopicsAsync(run.Get(all), run.Cancellation);
            run.Write(topics, Terminal.Table(["TOPIC", "PARTITIONS"], topics.Select(t => new object[] { t.Name, t.Partitions })));
        });
    }

    private static Command Describe(Application application) =>
        application.Connected(new Command("describe", "Show a topic, its configuration and its partitions.") { Name }, async run =>
        {
            TopicDescription topic = await run.Admin.DescribeTopicAsync(run.Get(Name), run.Cancellation);
            IReadOnlyList<PartitionDescription> logs = await run.Admin.DescribePartitionsAsync(topic.Name, run.Cancellation);
            string id = KafkaUuid.Format(topic.Id);
            run.Write(new { topic.Name, Id = id, topic.Configs, Partitions = logs, Replicas = topic.Partitions },
            [
                $"Topic {topic.Name}, id {id}",
                .. topic.Configs.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => $"  {c.Key}={c.Value}"),
                .. Terminal.Table(
                    ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "END", "BYTES", "SEGMENTS", "ERROR"],
                    logs.Select((log, partition) => new object[]
                    {
                        partition, log.Leader, log.LeaderEpoch, string.Join(',', topic.Partitions[partition].Replicas),
                        string.Join(',', topic.Partitions[partition].Isr), log.LogStartOffset, log.HighWatermark, log.SizeBytes,
                        log.Segments,
                        log.Error == ErrorCode.None ? "" : log.Error,
                    })),
            ]);
        });

    private static Command Alter(Application application)
    {
        Option<string[]> configs = ConfigCommands.KeyValues("--config", "-c", "set a configuration key, key=value; may be repeated");
        Option<string[]> unset = new("--unset") { Description = "return a configuration key to its default; may be repeated" };
        Option<int?> partitions = new("--partitions", "-p") { Description = "raise the number of partitions to this" };
        var command = new Command(
            "alter", "Change a topic's configuration, or raise its number of partitions.") { Name, configs, unset, partitions };
        command.Validators.Add(result =>
        {
            if (result.GetResult(partitions) is null && result.GetResult(configs) is null && result.GetResult(unset) is null)
                result.AddError("Nothing to alter: give --config, --unset or --partitions.");
        });
        return application.Connected(command, async run =>
        {
            string name = run.Get(Name);
            ConfigChange[] changes =
            [
                .. ConfigCommands.Changes(run.Get(configs), ConfigOperation.Set),
                .. run.Get(unset).Select(key => new ConfigChange(key, ConfigOperation.Delete, null)),
            ];
            if (changes.Length > 0)
                await run.Admin.AlterTopicConfigsAsync(name, changes, run.Cancellation);

            if (run.Get(partitions) is { } count)
                await run.Admin.CreatePartitionsAsync(name, count, run.Cancellation);

            run.Terminal.Error.WriteLine($"Topic {name} altered.");
        });
    }

    private static Command Delete(Application application) =>
        application.Connected(new Command("delete", "Delete a topic and its records.") { Name }, async run =>
        {
            await run.Admin.DeleteTopicAsync(run.Get(Name), run.Cancellation);
            run.Terminal.Error.WriteLine($"Topic {run.Get(Name)} deleted.");
        });

    private static Command DeleteRecords(Application application)
    {
        Option<int> partition = new("--partition", "-p") { Description = "which partition", Required = true };
        Option<long> before =
            new("--before") { Description = "the first offset to keep; -1 to delete all records that there are", Required = true };
        var command = new Command("delete-records", "Delete a partition's records before an offset.") { Name, partition, before };
        return application.Connected(command, async run =>
        {
            var named = new TopicPartition(run.Get(Name), run.Get(partition));
            long start = await run.Admin.DeleteRecordsAsync(named, run.Get(before), run.Cancellation);
            run.Write(new { named.Topic, named.Partition, LogStartOffset = start }, $"{named} begins at offset {start} now.");
        });
    }
}
