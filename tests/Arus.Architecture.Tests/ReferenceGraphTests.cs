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
        ["Arus.Coordination"] = ["Arus.Model", "Arus.Protocol"],
        ["Arus.Protocol"] = ["Arus.Model"],
        ["Arus.Grains.Abstractions"] = ["Arus.Model", "Arus.Protocol"],
        ["Arus.Grains"] = ["Arus.Model", "Arus.Protocol", "Arus.Storage", "Arus.Coordination", "Arus.Grains.Abstractions"],
        ["Arus.Kafka"] = ["Arus.Model", "Arus.Protocol", "Arus.Grains.Abstractions"],
        ["Arus.Client"] = ["Arus.Model", "Arus.Compression", "Arus.Protocol", "Arus.Grains.Abstractions"],
        ["Arus.Server"] =
        [
            "Arus.Model", "Arus.Storage", "Arus.Coordination", "Arus.Grains.Abstractions", "Arus.Grains", "Arus.Protocol", "Arus.Kafka",
        ],
        ["Arus.Cli"] = ["Arus.Model", "Arus.Grains.Abstractions", "Arus.Client"],
    };

    /// <summary>Build tools: they run inside the compiler and are no part of any layer.</summary>
    private static readonly string[] BuildTools = ["Arus.Protocol.Generator"];

    /// <summary>Layers that must be replayable from a seed know neither Orleans nor the web server.</summary>
    private static readonly string[] Pure = ["Arus.Model", "Arus.Compression", "Arus.Storage", "Arus.Coordination", "Arus.Protocol"];

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
        IEnumerable<string> references = References(project, "ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Replace('\\', '/')));
        Assert.Empty(references.Except(Allowed[project]).Except(BuildTools));
    }

    [Theory, MemberData(nameof(SourceProjects))]
    public void The_pure_layers_know_no_framework_but_the_runtime(string project)
    {
        if (Pure.Contains(project))
        {
            Assert.Empty(References(project, "FrameworkReference"));
            Assert.DoesNotContain(References(project, "PackageReference"), p => p.StartsWith("Microsoft.Orleans.", StringComparison.Ordinal));
        }
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
        XDocument.Load(Path.Combine(Repository.Root, "src", project, project + ".csproj"))
            .Descendants(kind).Select(e => e.Attribute("Include")!.Value);
}
