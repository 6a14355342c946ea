namespace Arus.Architecture.Tests;

/// <summary>Rules of style that no analyzer of the compiler knows.</summary>
public sealed class StyleTests
{
    private const int MaxLineLength = 140;

    [Fact]
    public void No_line_of_code_is_over_140_characters()
    {
        string[] offenders = [.. Repository.SourceFiles()
            .Select(file => Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'))
            .SelectMany(file => File.ReadLines(Path.Combine(Repository.Root, file))
                .Select((line, i) => (Line: line, Where: $"{file}:{i + 1}"))
                .Where(found => found.Line.Length > MaxLineLength)
                .Select(found => found.Where))];
        Assert.Empty(offenders);
    }
}
