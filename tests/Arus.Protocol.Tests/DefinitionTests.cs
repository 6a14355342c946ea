using Arus.Protocol.Generator;

namespace Arus.Protocol.Tests;

/// <summary>A mistake in a definition file stops the build at its line.</summary>
public sealed class DefinitionTests
{
    [Theory]
    [InlineData("", 1, "a definition is expected")]
    [InlineData("message X 0", 1, "expected 'api KEY NAME VERSIONS")]
    [InlineData("api 1 X 0 varint|request", 1, "expected 'api KEY NAME VERSIONS")]
    [InlineData("data X one|  A int8", 1, "'one' is not a version")]
    [InlineData("api 1 X 0|  A int8", 2, "'request' is expected")]
    [InlineData("api 1 X 0|request|  A int8|answer", 4, "'answer' stands where 'response' is expected")]
    [InlineData("data X 0|  A int8|B int8", 2, "after the end")]
    [InlineData("data X 0|  A", 2, "expected 'NAME TYPE")]
    [InlineData("data X 0|  A int8|    B int8", 3, "the indentation does not fit")]
    [InlineData("data X 0|  A []Unknown", 2, "'Unknown' is neither")]
    [InlineData("data X 0-1|  A int8 2+", 2, "no version")]
    [InlineData("data X 0|  A int8 wrong", 2, "a word too many")]
    [InlineData("data X 0|  A int8 size 1", 2, "'size' is none of")]
    [InlineData("data X 0|  A int8 count B|  C int8", 3, "'A' counts 'B', which does not follow")]
    public void A_mistake_is_told_with_its_line(string text, int line, string problem)
    {
        int found = 0;

        var error = Assert.Throws<DefinitionException>(() => DefinitionParser.Parse(text.Replace('|', '\n'), out found));

        Assert.Contains(problem, error.Message);
        Assert.Equal(line, found);
    }

    [Fact]
    public void A_structure_that_is_used_twice_is_defined_once()
    {
        const string Text = "data X 0-3 flexible 2\n  A Part\n    Size int32 1+\n  # A comment\n  B []Part";
        Definition definition = DefinitionParser.Parse(Text, out _);

        StructDefinition message = definition.Messages.Single();
        Assert.Same(message.Fields[0].Struct, message.Fields[1].Struct);
        Assert.Equal((0, "A"), (message.Nested.Single().MinSize(definition), message.Nested.Single().Path));
        Assert.Equal((false, true), (definition.HasShortLengths(1), definition.HasShortLengths(2)));
    }
}
