using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Arus.Protocol.Generator;

/// <summary>Reads the definition language that src/Arus.Protocol/Messages/README.md explains.</summary>
internal sealed class DefinitionParser(string text)
{
    private readonly string[] _lines = text.Split('\n');
    private readonly Dictionary<string, StructDefinition> _structs = new(StringComparer.Ordinal);
    private int _next;

    /// <param name="line">Counted from 1: the line that was read last, and that an exception is about.</param>
    public static Definition Parse(string text, out int line)
    {
        var parser = new DefinitionParser(text);
        try
        {
            return parser.ParseDefinition();
        }
        finally
        {
            line = Math.Max(1, parser._next);
        }
    }

    private Definition ParseDefinition()
    {
        Definition definition = ParseHead(NextHead("a definition"));
        string[] parts = definition.ApiKey == null ? [""] : ["Request", "Response"];
        foreach (string part in parts)
        {
            string keyword = part.ToLowerInvariant();
            if (part.Length > 0 && NextHead($"'{keyword}'") is var words && (words.Length != 1 || words[0] != keyword))
                throw new DefinitionException($"'{words[0]}' stands where '{keyword}' is expected");

            _structs.Clear();
            var message = new StructDefinition(definition.Name + part, "", definition.Versions);
            ParseFields(message, 0);
            message.Nested.AddRange(_structs.Values);
            definition.Messages.Add(message);
        }

        return Peek(out _, out _, out _) ? throw new DefinitionException("a line after the end of the definition") : definition;
    }

    private string[] NextHead(string expected)
    {
        bool found = Peek(out int indent, out string[] words, out _);
        _next += found ? 1 : 0;
        return found && indent == 0 ? words : throw new DefinitionException($"{expected} is expected here, without indentation");
    }

    private static Definition ParseHead(string[] words)
    {
        bool isApi = words[0] == "api";
        int name = isApi ? 2 : 1, options = name + 2;
        bool isFlexible = words.Length == options + 2 && words[options] == "flexible";
        bool isVarint = !isApi && words.Length == options + 1 && words[options] == "varint";
        if (!(isApi || words[0] == "data") || !(words.Length == options || isFlexible || isVarint))
        {
            throw new DefinitionException(
                "expected 'api KEY NAME VERSIONS [flexible SINCE]' or 'data NAME VERSIONS [flexible SINCE | varint]'");
        }

        int? key = isApi ? int.Parse(words[1], CultureInfo.InvariantCulture) : null;
        int flexible = isFlexible ? VersionRange.Parse(words[options + 1]).Min : short.MaxValue;
        return new Definition(key, words[name], VersionRange.Parse(words[name + 1]), flexible, isVarint);
    }

    /// <summary>Reads the lines that are deeper than <paramref name="parentIndent"/>.</summary>
    private void ParseFields(StructDefinition parent, int parentIndent)
    {
        int? indentHere = null;
        while (Peek(out int indent, out string[] words, out string doc) && indent > parentIndent)
        {
            _next++;
            if (indent != (indentHere ??= indent))
                throw new DefinitionException("the indentation does not fit the line above");

            FieldDefinition field = ParseField(parent, words, doc);
            field.CountedBy = parent.Fields.Find(before => before.Counts == field.Name);
            parent.Fields.Add(field);
            if (field.Primitive is null)
                AttachStruct(parent, field, indent);
        }

        if (parent.Fields.Find(count => count.Counts != null && !parent.Fields.Exists(field => field.CountedBy == count)) is { } lost)
            throw new DefinitionException($"'{lost.Name}' counts '{lost.Counts}', which does not follow");
    }

    private void AttachStruct(StructDefinition parent, FieldDefinition field, int indent)
    {
        if (_structs.TryGetValue(field.TypeName, out StructDefinition? known))
        {
            field.Struct = known;
            return;
        }

        var created = new StructDefinition(field.TypeName, parent.PathOf(field.Name), field.Versions);
        _structs.Add(field.TypeName, created);
        field.Struct = created;
        ParseFields(created, indent);
        if (created.Fields.Count == 0)
            throw new DefinitionException($"'{field.TypeName}' is neither a primitive type nor followed by fields");
    }

    private static FieldDefinition ParseField(StructDefinition parent, string[] words, string doc)
    {
        if (words.Length < 2)
            throw new DefinitionException("expected 'NAME TYPE [VERSIONS] [= DEFAULT] [tag N] [count FIELD]'");

        string type = words[1];
        bool isArray = type.StartsWith("[]", StringComparison.Ordinal);
        type = isArray ? type.Substring(2) : type;
        int question = type.IndexOf('?');
        string nullable = question < 0 ? "" : type.Substring(question + 1);
        type = question < 0 ? type : type.Substring(0, question);

        int word = 2;
        VersionRange versions = parent.Versions;
        if (word < words.Length && char.IsDigit(words[word][0]))
            versions = VersionRange.Parse(words[word++]).Intersect(parent.Versions);

        var field = new FieldDefinition(words[0], type, isArray, versions, doc);
        if (question >= 0)
            field.Nullable = nullable.Length == 0 ? versions : VersionRange.Parse(nullable).Intersect(versions);

        for (; word + 1 < words.Length; word += 2)
        {
            switch (words[word])
            {
                case "=": field.Default = words[word + 1]; break;
                case "tag": field.Tag = int.Parse(words[word + 1], CultureInfo.InvariantCulture); break;
                case "count": field.Counts = words[word + 1]; break;
                default: throw new DefinitionException($"'{words[word]}' is none of '=', 'tag', 'count'");
            }
        }

        return word == words.Length && !versions.IsEmpty
            ? field
            : throw new DefinitionException($"field '{words[0]}' has a word too many or no version");
    }

    /// <summary>The next line with content; blank lines and lines of comment are skipped.</summary>
    private bool Peek(out int indent, out string[] words, out string doc)
    {
        for (; _next < _lines.Length; _next++)
        {
            string line = _lines[_next].TrimEnd();
            int hash = line.IndexOf('#');
            string content = hash < 0 ? line : line.Substring(0, hash);
            words = content.Split([' '], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length > 0)
            {
                indent = content.TakeWhile(c => c == ' ').Count();
                doc = hash < 0 ? "" : line.Substring(hash + 1).Trim();
                return true;
            }
        }

        (indent, words, doc) = (0, [], "");
        return false;
    }
}
