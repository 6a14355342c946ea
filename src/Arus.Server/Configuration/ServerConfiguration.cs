using System.Collections;

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

    private readonly Dictionary<string, ConfigValue> _values = new(StringComparer.Ordinal);
    private readonly List<string> _faults = [];

    private ServerConfiguration()
    {
    }

    /// <summary>What was set; empty when there are <see cref="Faults"/> or only help was requested.</summary>
    public BrokerConfig Config { get; private set; } = BrokerConfig.Default;

    /// <summary>A line for each mistake; empty when the broker can start.</summary>
    public IReadOnlyList<string> Faults => _faults;

    /// <summary>The file that was read.</summary>
    public string? File { get; private set; }

    public bool HelpRequested { get; private set; }

    public bool VersionRequested { get; private set; }

    /// <param name="arguments">Of the command line.</param>
    /// <param name="environment">Names and values, both strings.</param>
    /// <param name="defaultFile">Read when neither a flag nor the environment names one; it need not exist.</param>
    public static ServerConfiguration Load(IReadOnlyList<string> arguments, IDictionary environment, string defaultFile)
    {
        var loaded = new ServerConfiguration();
        List<(string Key, string Value)> flags = loaded.ReadFlags(arguments, out string? file);
        loaded.ReadFile(file ?? environment[ConfigVariable] as string, defaultFile);
        loaded.ReadEnvironment(environment);
        foreach ((string key, string value) in flags)
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

    private List<(string Key, string Value)> ReadFlags(IReadOnlyList<string> arguments, out string? file)
    {
        file = null;
        var flags = new List<(string, string)>();
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            if (argument is "--help" or "-h" or "-?")
            {
                HelpRequested = true;
                continue;
            }

            if (argument == "--version")
            {
                VersionRequested = true;
                continue;
            }

            if (!argument.StartsWith("--", StringComparison.Ordinal))
            {
                _faults.Add($"'{argument}' is not understood; flags have the form --key=value (try --help)");
                continue;
            }

            int equals = argument.IndexOf('=');
            string key = equals < 0 ? argument[2..] : argument[2..equals];
            if (equals < 0 && (i + 1 == arguments.Count || arguments[i + 1].StartsWith("--", StringComparison.Ordinal)))
            {
                _faults.Add($"--{key} has no value; write --{key}=value");
                continue;
            }

            string value = equals < 0 ? arguments[++i] : argument[(equals + 1)..];
            if (key == "config")
                file = value;
            else
                flags.Add((key, value));
        }

        return flags;
    }

    private void ReadFile(string? named, string defaultFile)
    {
        string path = named ?? defaultFile;
        if (!System.IO.File.Exists(path))
        {
            if (named is not null)
                _faults.Add($"the configuration file {Path.GetFullPath(path)} does not exist");

            return;
        }

        File = path;
        foreach ((string key, ConfigValue value) in ConfigFile.Read(path, _faults))
            _values[key] = value;
    }

    private void ReadEnvironment(IDictionary environment)
    {
        Dictionary<string, string> keys = BrokerConfigs.All.ToDictionary(
            definition => VariableOf(definition.Name), definition => definition.Name);
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
