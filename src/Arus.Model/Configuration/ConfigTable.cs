using System.Collections.Frozen;

namespace Arus;

/// <summary>
/// The keys of a type of resource, from the embedded table <c>keys.tsv</c>: every key of Kafka 4.4 with its name, type, default and
/// allowed values (<see href="https://kafka.apache.org/documentation/#configuration"/>), and those of Arus. Everything that validates,
/// describes or documents keys uses it. Immutable.
/// </summary>
public sealed class ConfigTable
{
    private static readonly Dictionary<string, ConfigTable> Tables = Load();

    private readonly FrozenDictionary<string, ConfigDefinition> _byName;

    private ConfigTable(IEnumerable<ConfigDefinition> keys)
    {
        ConfigDefinition[] sorted = [.. keys.OrderBy(key => key.Name, StringComparer.Ordinal)];
        _byName = sorted.ToFrozenDictionary(key => key.Name);
        All = [.. sorted.Where(key => !key.IsInternal)];
    }

    public static ConfigTable Topics => Tables["topic"];

    public static ConfigTable Brokers => Tables["broker"];

    public static ConfigTable Groups => Tables["group"];

    public static ConfigTable ClientMetrics => Tables["client-metrics"];

    /// <summary>Every key but the internal ones, sorted by name.</summary>
    public IReadOnlyList<ConfigDefinition> All { get; }

    public ConfigDefinition? Find(string name) => _byName.GetValueOrDefault(name);

    private static Dictionary<string, ConfigTable> Load()
    {
        var reasons = new Dictionary<string, string>();
        var keys = new List<(string Resource, ConfigDefinition Key)>();
        using Stream stream = typeof(ConfigTable).Assembly.GetManifestResourceStream("keys.tsv")!;
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            string[] fields = line.Split('\t');
            if (fields[0] == "reason")
                reasons[fields[1]] = fields[2];
            else if (!line.StartsWith('#'))
                keys.Add((fields[0], Read(fields, reasons)));
        }

        HashSet<string> own = [.. keys.Where(row => row.Resource == "broker").Select(row => row.Key.Name)];
        keys.AddRange(keys.Where(row => row is { Resource: "topic", Key.BrokerKey: { } key } && !own.Contains(key))
            .Select(row => ("broker", ToBrokerKey(row.Key))).ToArray());
        return keys.GroupBy(row => row.Resource).ToDictionary(rows => rows.Key, rows => new ConfigTable(rows.Select(row => row.Key)));
    }

    private static ConfigDefinition Read(string[] fields, Dictionary<string, string> reasons)
    {
        ConfigType type = Enum.Parse<ConfigType>(fields[2], ignoreCase: true);
        string meaning = fields[7];
        bool isHonoured = !meaning.StartsWith('!');
        return new ConfigDefinition
        {
            Name = fields[1],
            Type = type,
            Default = fields[3] == "-" ? null : fields[3],
            Rule = ConfigRule.Read(fields[4], type),
            Scope = Enum.Parse<ConfigScope>(fields[5].Replace("-", ""), ignoreCase: true),
            BrokerKey = fields[6] == "-" ? null : fields[6],
            IsHonoured = isHonoured,
            Documentation = isHonoured ? meaning : $"Without effect: {reasons[meaning[1..]]}",
        };
    }

    /// <summary>The broker's key that gives the default of a topic's: of the same type, with the same default and allowed values.</summary>
    private static ConfigDefinition ToBrokerKey(ConfigDefinition topic) => topic with
    {
        Name = topic.BrokerKey!,
        BrokerKey = null,
        Scope = ConfigScope.Cluster,
        Documentation = topic.IsHonoured ? $"Default of the topic key {topic.Name}." : topic.Documentation,
    };
}
