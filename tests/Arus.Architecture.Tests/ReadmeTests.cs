using System.Text.RegularExpressions;

namespace Arus.Architecture.Tests;

/// <summary>README.md shows the samples that are run, word for word.</summary>
public sealed partial class ReadmeTests
{
    private static readonly string Readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));

    [Fact]
    public void Every_snippet_of_the_README_is_a_sample_and_every_sample_is_in_the_README()
    {
        string[] samples = [.. Samples().Values.Order(StringComparer.Ordinal)];
        string[] shown = [.. CSharpBlock().Matches(Readme).Select(m => m.Groups[1].Value.TrimEnd()).Order(StringComparer.Ordinal)];
        Assert.NotEmpty(shown);
        Assert.Equal(samples, shown);
    }

    [Fact]
    public void Links_of_the_README_lead_somewhere()
    {
        string[] broken = [.. Link().Matches(Readme).Select(m => m.Groups[1].Value)
            .Where(target => !target.StartsWith("http", StringComparison.Ordinal))
            .Where(target => !Path.Exists(Path.Combine(Repository.Root, target.Split('#')[0])))];
        Assert.Empty(broken);
    }

    private static Dictionary<string, string> Samples()
    {
        var samples = new Dictionary<string, string>();
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests", "Arus.Samples"), "*.cs"))
        {
            string? name = null;
            var lines = new List<string>();
            foreach (string line in File.ReadLines(file))
            {
                if (line.TrimStart().StartsWith("// sample: ", StringComparison.Ordinal))
                {
                    name = line.TrimStart()["// sample: ".Length..];
                    lines.Clear();
                }
                else if (line.TrimStart() == "// end" && name is not null)
                {
                    samples.Add(name, Unindented(lines));
                    name = null;
                }
                else
                {
                    lines.Add(line);
                }
            }
        }

        return samples;
    }

    private static string Unindented(List<string> lines)
    {
        int indent = lines.Where(l => l.Length > 0).Min(l => l.Length - l.TrimStart().Length);
        return string.Join('\n', lines.Select(l => l.Length == 0 ? l : l[indent..])).TrimEnd();
    }

    [GeneratedRegex("^```csharp\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CSharpBlock();

    [GeneratedRegex(@"\]\(([^)]+)\)")]
    private static partial Regex Link();
}
