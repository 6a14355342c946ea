using System.CommandLine;
using System.CommandLine.Parsing;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus config …</c></summary>
internal static class ConfigCommands
{
    private static readonly Dictionary<string, ConfigResourceType> Types = new()
    {
        ["topic"] = ConfigResourceType.Topic, ["broker"] = ConfigResourceType.Broker, ["logger"] = ConfigResourceType.BrokerLogger,
        ["group"] = ConfigResourceType.Group, ["client-metrics"] = ConfigResourceType.ClientMetrics,
    };

    private static readonly Argument<string> Type = new("type") { Description = string.Join(", ", Types.Keys) };

    private static readonly Argument<string> Name = new("name")
    {
        Description = "the topic, group or subscription, or a broker's id; all brokers unless given", DefaultValueFactory = _ => "",
    };

    public static Command Build(Application application) => new(
        "config", "Show and change the configuration of topics, brokers, loggers, groups and client metrics while brokers run.")
    {
        Describe(application), Alter(application),
    };

    private static Command Describe(Application application)
    {
        Option<bool> all = new("--all", "-a") { Description = "also keys that are at their defaults" };
        Option<string[]> keys = new("--key", "-k") { Description = "only this key; may be repeated" };
        var command = new Command("describe", "Show keys, their values and where these come from.") { Type, Name, all, keys };
        return application.Connected(RequireName(command), async run =>
        {
            IReadOnlyList<ConfigEntry> entries = await run.Admin.DescribeConfigsAsync(
                Types[run.Get(Type)], run.Get(Name), run.Get(keys), run.Cancellation);
            if (!run.Get(all) && run.Get(keys).Length == 0)
                entries = [.. entries.Where(entry => entry.Source != ConfigSource.Default)];

            run.Write(entries, Terminal.Table(
                ["KEY", "VALUE", "SOURCE", "CHANGES"],
                entries.Select(entry => new object?[]
                {
                    entry.Name, entry.IsSensitive ? "(not told)" : entry.Value, entry.Source, entry.IsReadOnly ? "at start" : "any time",
                })));
        });
    }

    private static Command Alter(Application application)
    {
        Option<string[]> set = KeyValues("--set", "-s", "set a key, key=value; may be repeated");
        Option<string[]> unset = new("--unset", "-u") { Description = "return a key to its default; may be repeated" };
        Option<string[]> append = KeyValues("--append", null, "add to a list, key=item,…; may be repeated");
        Option<string[]> subtract = KeyValues("--subtract", null, "take from a list, key=item,…; may be repeated");
        Option<bool> validateOnly = new("--validate-only") { Description = "check only; change nothing" };
        var command = new Command("alter", "Change keys, all or none.") { Type, Name, set, unset, append, subtract, validateOnly };
        command.Validators.Add(result =>
        {
            if (!new Option[] { set, unset, append, subtract }.Any(option => result.GetResult(option) is not null))
                result.AddError("Nothing to alter: give --set, --unset, --append or --subtract.");
        });
        return application.Connected(RequireName(command), async run =>
        {
            ConfigChange[] changes =
            [
                .. run.Get(unset).Select(key => new ConfigChange(key, ConfigOperation.Delete, null)),
                .. Changes(run.Get(set), ConfigOperation.Set), .. Changes(run.Get(append), ConfigOperation.Append),
                .. Changes(run.Get(subtract), ConfigOperation.Subtract),
            ];
            (string type, string name) = (run.Get(Type), run.Get(Name));
            await run.Admin.AlterConfigsAsync(Types[type], name, changes, run.Get(validateOnly), run.Cancellation);
            string what = name.Length == 0 ? "all brokers" : $"{type} {name}";
            run.Terminal.Error.WriteLine($"The configuration of {what} {(run.Get(validateOnly) ? "can be altered" : "is altered")}.");
        });
    }

    /// <summary>An option of key=value, as often as it is given.</summary>
    internal static Option<string[]> KeyValues(string name, string? alias, string description)
    {
        Option<string[]> option = new(name, alias is null ? [] : [alias]) { Description = description };
        option.Validators.Add(result =>
        {
            foreach (string text in result.Tokens.Select(t => t.Value).Where(t => t.IndexOf('=') <= 0))
                result.AddError($"'{text}' is not key=value.");
        });
        return option;
    }

    internal static IEnumerable<ConfigChange> Changes(string[] texts, ConfigOperation operation) => texts.Select(text =>
    {
        int equals = text.IndexOf('=');
        return new ConfigChange(text[..equals], operation, text[(equals + 1)..]);
    });

    private static Command RequireName(Command command)
    {
        command.Validators.Add(result =>
        {
            if (result.GetValue(Type) is not { } type)
                return;

            if (!Types.ContainsKey(type))
                result.AddError($"There is no type '{type}': {string.Join(", ", Types.Keys)}.");
            else if (type != "broker" && string.IsNullOrEmpty(result.GetValue(Name)))
                result.AddError(type == "logger" ? "Which broker's loggers? Give its id." : $"Which {type}? Give its name.");
        });
        return command;
    }
}
