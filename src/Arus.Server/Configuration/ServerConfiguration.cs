using System.Collections;
using System.Text.Json;

namespace Arus.Server;

/// <summary>
/// Puts a broker's configuration together: defaults, then a file, then the environment, then flags; the later wins. Collects every
/// mistake rather than stop at the first.
/// </summary>
public sealed class ServerConfiguration
{
    /// <summary>Variables for other parts of Arus, which the server leaves alone.</summary>
    private static readonly string[] ForeignPrefixes = ["ARUS_CLI_", "ARUS_TEST_"];

    private const string EnvironmentPrefix = "ARUS_";
    private const string ConfigVariable = "ARUS_CONFIG";
    private const string ConfigFlag = "config";
    private const long MaxFileBytes = 1024 * 1024;

    private static readonly JsonDocumentOptions FileSyntax =
        new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    private readonly Dictionary<string, ConfigValue> _values = new(StringComparer.Ordinal);
    private readonly List<string> _faults = [];

    private ServerConfiguration()
    {
    }

    /// <summary>What was set; empty when there are <see cref="Faults"/> or only help was requested.</summary>
    public BrokerConfig Config { get; private set; } = BrokerConfig.Default;

    /// <summary>A line for each mistake; empty when the broker can start.</summary>
    public IReadOnlyList<string> Faults => _faults;

    public bool HelpRequested { get; private set; }

    public bool VersionRequested { get; private set; }

    /// <param name="arguments">Of the command line.</param>
    /// <param name="environment">Names and values, both strings.</param>
    /// <param name="defaultFile">Read when neither a flag nor the environment names one; it need not exist.</param>
    public static ServerConfiguration Load(IReadOnlyList<string> arguments, IDictionary environment, string defaultFile)
    {
        var loaded = new ServerConfiguration();
        Dictionary<string, string> flags = loaded.ReadFlags(arguments);
        loaded.ReadFile(flags.GetValueOrDefault(ConfigFlag) ?? environment[ConfigVariable] as string, defaultFile);
        loaded.ReadEnvironment(environment);
        foreach ((string key, string value) in flags.Where(flag => flag.Key != ConfigFlag))
            loaded._values[key] = new ConfigValue(value, ConfigSource.StaticBroker, $"flag --{key}");

        loaded._faults.AddRange(BrokerConfigs.Validate(loaded._values));
        if (loaded._faults.Count == 0)
            loaded.Config = new BrokerConfig(loaded._values);

        return loaded;
    }

    /// <summary>
    /// The environment variable that sets a key: <c>log.dir</c> is <c>ARUS_LOG_DIR</c>, <c>arus.flush</c> is <c>ARUS_FLUSH</c>.
    /// </summary>
    public static string VariableOf(string key)
    {
        string name = key.ToUpperInvariant().Replace('.', '_');
        return name.StartsWith(EnvironmentPrefix, StringComparison.Ordinal) ? name : EnvironmentPrefix + name;
    }

    /// <summary>The values of the flags, by key; of a flag that is there several times the last.</summary>
    private Dictionary<string, string> ReadFlags(IReadOnlyList<string> arguments)
    {
        var flags = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            int equals = argument.IndexOf('=');
            if (argument is "--help" or "-h" or "-?")
                HelpRequested = true;
            else if (argument == "--version")
                VersionRequested = true;
            else if (!IsFlag(argument))
                _faults.Add($"'{argument}' is not understood; flags have the form --key=value (try --help)");
            else if (equals >= 0)
                flags[argument[2..equals]] = argument[(equals + 1)..];
            else if (i + 1 < arguments.Count && !IsFlag(arguments[i + 1]))
                flags[argument[2..]] = arguments[++i];
            else
                _faults.Add($"{argument} has no value; write {argument}=value");
        }

        return flags;
    }

    private static bool IsFlag(string argument) => argument.StartsWith("--", StringComparison.Ordinal);

    /// <summary>Reads one JSON object of keys with text, numbers or booleans; comments and trailing commas are allowed.</summary>
    private void ReadFile(string? named, string defaultFile)
    {
        string path = named ?? defaultFile;
        try
        {
            if (!File.Exists(path))
            {
                if (named is not null)
                    _faults.Add($"the configuration file {Path.GetFullPath(path)} does not exist");

                return;
            }

            if (new FileInfo(path).Length > MaxFileBytes)
            {
                _faults.Add($"the configuration file {path} is larger than {MaxFileBytes} bytes");
                return;
            }

            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path), FileSyntax);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                _faults.Add($"the configuration file {path} is not one JSON object of keys and values");
                return;
            }

            foreach (JsonProperty property in document.RootElement.EnumerateObject())
                ReadProperty(path, property);
        }
        catch (JsonException e)
        {
            _faults.Add($"the configuration file {path} is not valid JSON, at line {e.LineNumber + 1}: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _faults.Add($"the configuration file {path} cannot be read: {e.Message}");
        }
    }

    private void ReadProperty(string path, JsonProperty property)
    {
        string? text = property.Value.ValueKind switch
        {
            JsonValueKind.String => property.Value.GetString(),
            JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False => property.Value.GetRawText(),
            _ => null,
        };
        if (text is null)
        {
            _faults.Add(
                $"{property.Name} has a value of kind {property.Value.ValueKind.ToString().ToLowerInvariant()}; " +
                $"allowed: text, a number, true, false (from {path})");
        }
        else if (!_values.TryAdd(property.Name, new ConfigValue(text, ConfigSource.StaticBroker, path)))
        {
            _faults.Add($"{property.Name} is there twice (from {path})");
        }
    }

    private void ReadEnvironment(IDictionary environment)
    {
        Dictionary<string, string> keys = BrokerConfigs.All.Select(definition => definition.Name).Concat(BrokerConfigs.Removed.Keys)
            .ToDictionary(VariableOf);
        foreach (DictionaryEntry variable in environment)
        {
            string name = (string)variable.Key;
            if (!name.StartsWith(EnvironmentPrefix, StringComparison.Ordinal) || name == ConfigVariable
                || ForeignPrefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal)))
            {
                continue;
            }

            if (keys.TryGetValue(name, out string? key))
            {
                _values[key] = new ConfigValue((string?)variable.Value ?? "", ConfigSource.StaticBroker, $"environment variable {name}");
            }
            else
            {
                _faults.Add(
                    $"the environment variable {name} stands for no configuration key; log.dir, for one, is {VariableOf("log.dir")}");
            }
        }
    }
}
