using System.Xml.Linq;

namespace Arus.Architecture.Tests;

/// <summary>
/// The layers of the design, held by machine: a project may reference what this table grants it and nothing more. A row that
/// changes is a decision about the architecture, so it changes together with src/ARCHITECTURE.md.
/// </summary>
public sealed class ReferenceGraphTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Arus.Model"] = [],
        ["Arus.Compression"] = ["Arus.Model"],
        ["Arus.Storage"] = ["Arus.Model", "Arus.Compression", "Arus.Protocol"],
        ["Arus.Storage.Rows"] = ["Arus.Storage"],
        ["Arus.Coordination"] = ["Arus.Model", "Arus.Protocol"],
        ["Arus.Protocol"] = ["Arus.Model"],
        ["Arus.Grains.Abstractions"] = ["Arus.Model", "Arus.Protocol"],
        ["Arus.Grains"] =
            ["Arus.Model", "Arus.Protocol", "Arus.Storage", "Arus.Storage.Rows", "Arus.Coordination", "Arus.Grains.Abstractions"],
        ["Arus.Kafka"] = ["Arus.Model", "Arus.Protocol", "Arus.Grains.Abstractions"],
        ["Arus.Client"] = ["Arus.Model", "Arus.Compression", "Arus.Protocol", "Arus.Grains.Abstractions"],
        ["Arus.Hosting"] =
        [
            "Arus.Model", "Arus.Storage", "Arus.Storage.Rows", "Arus.Coordination", "Arus.Grains.Abstractions", "Arus.Grains",
            "Arus.Protocol", "Arus.Kafka",
        ],
        ["Arus.Server"] = ["Arus.Hosting"],
        // Hosting is for `arus db` alone, which makes a cluster's schema.
        ["Arus.Cli"] = ["Arus.Model", "Arus.Grains.Abstractions", "Arus.Client", "Arus.Hosting"],
    };

    /// <summary>The packages that each project may take; none where it has no row.</summary>
    private static readonly Dictionary<string, string[]> AllowedPackages = new()
    {
        ["Arus.Cli"] = ["HdrHistogram", "Microsoft.Orleans.Client", "Spectre.Console", "System.CommandLine"],
        ["Arus.Client"] = ["Microsoft.Extensions.Logging.Abstractions", "Microsoft.Extensions.Options", "Microsoft.Orleans.Client"],
        ["Arus.Compression"] = ["K4os.Compression.LZ4", "K4os.Hash.xxHash", "Snappier", "ZstdSharp.Port"],
        ["Arus.Grains.Abstractions"] = ["Microsoft.Orleans.Sdk"],
        ["Arus.Grains"] = ["Microsoft.Orleans.Server"],
        ["Arus.Kafka"] = ["Microsoft.Orleans.Sdk"],
        ["Arus.Protocol.Generator"] = ["Microsoft.CodeAnalysis.CSharp"],
        ["Arus.Hosting"] =
        [
            "Microsoft.Orleans.Clustering.AdoNet", "Microsoft.Orleans.Hosting.Kubernetes", "Microsoft.Orleans.Persistence.AdoNet",
            "Microsoft.Orleans.Server", "Npgsql",
        ],
        ["Arus.Server"] =
        [
            "OpenTelemetry.Exporter.OpenTelemetryProtocol", "OpenTelemetry.Exporter.Prometheus.AspNetCore",
            "OpenTelemetry.Extensions.Hosting",
        ],
    };

    /// <summary>Build tools: they run inside the compiler and are no part of any layer.</summary>
    private static readonly string[] BuildTools = ["Arus.Protocol.Generator"];

    /// <summary>
    /// Layers that must be replayable from a seed: they know neither Orleans nor the web server, and the compiler refuses them the wall
    /// clock, ambient randomness and the disk (src/BannedSymbols.txt).
    /// </summary>
    private static readonly string[] Pure =
        ["Arus.Model", "Arus.Compression", "Arus.Storage", "Arus.Storage.Rows", "Arus.Coordination", "Arus.Protocol"];

    public static TheoryData<string> SourceProjects() => new(Repository.Projects("src").Select(p => Path.GetFileNameWithoutExtension(p)));

    [Theory, MemberData(nameof(SourceProjects))]
    public void A_project_references_only_what_its_layer_allows(string project)
    {
        if (BuildTools.Contains(project))
        {
            Assert.Empty(References(project, "ProjectReference"));
            return;
        }

        Assert.True(Allowed.ContainsKey(project), $"{project} has no row in the table of layers; add one here and in src/ARCHITECTURE.md.");
        IEnumerable<string> references =
            References(project, "ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Replace('\\', '/')));
        Assert.Empty(references.Except(Allowed[project]).Except(BuildTools));
    }

    [Theory, MemberData(nameof(SourceProjects))]
    public void A_project_takes_only_the_packages_that_its_layer_allows(string project) =>
        Assert.Empty(References(project, "PackageReference").Except(AllowedPackages.GetValueOrDefault(project, [])));

    [Theory, MemberData(nameof(SourceProjects))]
    public void The_pure_layers_know_no_framework_but_the_runtime_and_no_ambient_state(string project)
    {
        bool isPure = Pure.Contains(project);
        Assert.Equal(isPure, Load(project).Descendants("IsPure").Any(e => e.Value == "true"));
        if (isPure)
            Assert.Empty(References(project, "FrameworkReference"));
    }

    [Fact]
    public void Every_project_of_the_tree_is_in_the_solution()
    {
        string solution = File.ReadAllText(Path.Combine(Repository.Root, "Orleans.sln")).Replace('\\', '/');
        string[] missing = [.. Repository.Projects("src").Concat(Repository.Projects("tests"))
            .Select(p => Path.GetRelativePath(Repository.Root, p).Replace('\\', '/')).Where(p => !solution.Contains($"\"{p}\""))];
        Assert.Empty(missing);
    }

    [Fact]
    public void No_code_is_compiled_conditionally()
    {
        string[] offenders = [.. Repository.SourceFiles()
            .Where(f => File.ReadLines(f).Any(line => line.TrimStart().StartsWith("#if", StringComparison.Ordinal)))];
        Assert.Empty(offenders);
    }

    private static IEnumerable<string> References(string project, string kind) =>
        Load(project).Descendants(kind).Select(e => e.Attribute("Include")!.Value);

    private static XDocument Load(string project) => XDocument.Load(Path.Combine(Repository.Root, "src", project, project + ".csproj"));
}
