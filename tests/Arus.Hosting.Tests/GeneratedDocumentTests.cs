using System.Runtime.CompilerServices;
using System.Text;

namespace Arus.Hosting.Tests;

/// <summary>
/// Documents that are written from definitions in code. With ARUS_TEST_WRITE_DOCUMENTS=1 these tests write them; otherwise they fail when
/// a document is not what the definitions say.
/// </summary>
public sealed class GeneratedDocumentTests
{
    private const string Switch = "ARUS_TEST_WRITE_DOCUMENTS";

    [Fact]
    public void Every_metric_is_described_in_the_metrics_document()
    {
        var text = new StringBuilder();
        text.Append($"""
            # Metrics

            Written by `{Switch}=1 dotnet test tests/Arus.Hosting.Tests` from the definitions of the instruments; do not edit.

            Names follow OpenTelemetry: `arus`, the part of the broker, what is measured, with the unit beside the name and not in it. At
            `/metrics` they have Prometheus' form: underscores, the unit at the end, `_total` after counters. Beside these there are the
            metrics of the .NET runtime (`System.Runtime`), of Kestrel and of Orleans, under names of their own.

            | metric | in Prometheus | kind | unit | labels | meaning | when to act |
            |---|---|---|---|---|---|---|

            """.ReplaceLineEndings("\n"));
        foreach (MetricDefinition metric in ArusTelemetry.Metrics.OrderBy(metric => metric.Name, StringComparer.Ordinal))
        {
            string labels = metric.Labels.Length == 0 ? "–" : string.Join(", ", metric.Labels.Select(label => $"`{label}`"));
            string kind = metric.Kind.ToString().ToLowerInvariant();
            text.Append($"| `{metric.Name}` | `{metric.PrometheusName}` | {kind} | `{metric.Unit}` | {labels} ");
            text.Append($"| {metric.Description} | {metric.Action} |\n");
        }

        Check("docker/METRICS.md", text.ToString());
    }

    [Fact]
    public void Every_configuration_key_is_described_in_the_keys_document()
    {
        var text = new StringBuilder();
        text.Append($"""
            # Configuration keys

            Written by `{Switch}=1 dotnet test tests/Arus.Hosting.Tests` from the definitions of the keys; do not edit.

            `changes` says when a value counts. Keys of a broker are read when it starts, from the file, the environment or the command
            line; those that say `broker` or `cluster` may also be changed while brokers run (IncrementalAlterConfigs, `kafka-configs`,
            `arus config alter`), for one broker, or for all. Keys of topics, groups and client metrics may be changed at any time. Where
            a topic or a group has no value, the broker's key gives the default. A key without effect is known so that settings and
            tools of Kafka work: any valid value is accepted, kept and told.

            """.ReplaceLineEndings("\n"));
        AppendKeys(text, "Brokers", BrokerConfigs.All);
        AppendKeys(text, "Topics", TopicConfigs.All);
        AppendKeys(text, "Groups", ConfigTable.Groups.All);
        AppendKeys(text, "Client metrics", ConfigTable.ClientMetrics.All);
        Check("silo-config/KEYS.md", text.ToString());
    }

    private static void AppendKeys(StringBuilder text, string title, IEnumerable<ConfigDefinition> keys)
    {
        text.Append($"\n## {title}\n\n| key | type | default | allowed | changes | effect | meaning |\n|---|---|---|---|---|---|---|\n");
        foreach (ConfigDefinition key in keys)
        {
            string type = key.Type.ToString().ToLowerInvariant();
            string value = key.BrokerKey is { } brokerKey ? $"`{brokerKey}`"
                : key.Default is { } set ? set.Length == 0 ? "empty" : $"`{set}`" : "–";
            string changes = key.Scope switch
            {
                ConfigScope.ReadOnly => "at start",
                ConfigScope.Broker => "broker",
                ConfigScope.Cluster => "broker, cluster",
                ConfigScope.ClusterOnly => "cluster",
                ConfigScope.Listener => "broker, for a listener",
                _ => "at any time",
            };
            text.Append($"| `{key.Name}` | {type} | {value} | {key.Allowed.Replace("<", "&lt;")} ");
            text.Append($"| {changes} | {(key.IsHonoured ? "yes" : "no")} | {key.Documentation} |\n");
        }
    }

    private static void Check(string path, string expected, [CallerFilePath] string source = "")
    {
        string file = Path.Combine(Path.GetDirectoryName(source)!, "..", "..", path);
        if (Environment.GetEnvironmentVariable(Switch) == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, expected);
        }

        Assert.Equal(expected, File.ReadAllText(file).ReplaceLineEndings("\n"));
    }
}
