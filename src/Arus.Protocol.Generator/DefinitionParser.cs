using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Arus.Protocol.Generator;

/// <summary>Reads the definition language that src/Arus.Protocol/Messages/README.md explains.</summary>
internal sealed class DefinitionParser
{
    private readonly string[] _lines;
    private readonly Dictionary<string, StructDefinition> _structs = new Dictionary<string, StructDefinition>(StringComparer.Ordinal);
    private int _next;
    private ApiDefinition? _api;

    private DefinitionParser(string text) => _lines = text.Split('\n');

    public static ApiDefinition Parse(string text)
    {
        var parser = new DefinitionParser(text);
        try
        {
            return parser.ParseApi();
        }
        catch (DefinitionException e) when (e.Line == 0)
        {
            throw new DefinitionException(e.Message, Math.Max(1, parser._next));
        }
    }

    private ApiDefinition ParseApi()
    {
        while (Peek(out int indent, out string[] words, out _))
        {
            _next++;
            if (indent != 0)
            {
                throw new DefinitionException("a field outside of a request or response");
            }

            if (words[0] == "api")
            {
                _api = ParseHead(words);
                continue;
            }

            ApiDefinition api = _api ?? throw new DefinitionException("the first line must be 'api KEY NAME VERSIONS'");
            string name = words[0] == "request" ? "Request" : words[0] == "response" ? "Response"
                : throw new DefinitionException($"'{words[0]}' is none of api, request, response");
            _structs.Clear();
            var message = new StructDefinition(api.Name + name, "", api.Versions);
            ParseFields(message, 0);
            message.Nested.AddRange(_structs.Values);
            _ = name == "Request" ? api.Request = message : api.Response = message;
        }

        return _api is { Request: not null, Response: not null }
            ? _api
            : throw new DefinitionException("a definition needs an api line, a request and a response");
    }

    private static ApiDefinition ParseHead(string[] words)
    {
        if (words.Length is not (4 or 6) || (words.Length == 6 && words[4] != "flexible"))
        {
            throw new DefinitionException("expected 'api KEY NAME VERSIONS [flexible SINCE]'");
        }

        int flexible = words.Length == 6 ? VersionRange.Parse(words[5]).Min : short.MaxValue;
        return new ApiDefinition(
            int.Parse(words[1], CultureInfo.InvariantCulture), words[2], VersionRange.Parse(words[3]), flexible);
    }

    /// <summary>Reads the lines that are deeper than <paramref name="parentIndent"/>.</summary>
    private void ParseFields(StructDefinition parent, int parentIndent)
    {
        int? indentHere = null;
        while (Peek(out int indent, out string[] words, out string doc) && indent > parentIndent)
        {
            _next++;
            if (indent != (indentHere ??= indent))
            {
                throw new DefinitionException("the indentation does not fit the line above");
            }

            FieldDefinition field = ParseField(parent, words, doc);
            if (field.Primitive is null)
            {
                AttachStruct(parent, field, indent);
            }

            parent.Fields.Add(field);
        }
    }

    private void AttachStruct(StructDefinition parent, FieldDefinition field, int indent)
    {
        if (_structs.TryGetValue(field.TypeName, out StructDefinition? known))
        {
            field.Struct = known;
            return;
        }

        string path = parent.Path.Length == 0 ? field.Name : parent.Path + "." + field.Name;
        var created = new StructDefinition(field.TypeName, path, field.Versions);
        _structs.Add(field.TypeName, created);
        field.Struct = created;
        ParseFields(created, indent);
        if (created.Fields.Count == 0)
        {
            throw new DefinitionException($"'{field.TypeName}' is neither a primitive type nor followed by fields");
        }
    }

    private static FieldDefinition ParseField(StructDefinition parent, string[] words, string doc)
    {
        if (words.Length < 2)
        {
            throw new DefinitionException("expected 'NAME TYPE [VERSIONS] [= DEFAULT] [tag N]'");
        }

        string type = words[1];
        bool isArray = type.StartsWith("[]", StringComparison.Ordinal);
        type = isArray ? type.Substring(2) : type;
        int question = type.IndexOf('?');
        string nullable = question < 0 ? "" : type.Substring(question + 1);
        type = question < 0 ? type : type.Substring(0, question);

        int word = 2;
        VersionRange versions = parent.Versions;
        if (word < words.Length && char.IsDigit(words[word][0]))
        {
            versions = VersionRange.Parse(words[word++]).Intersect(parent.Versions);
        }

        var field = new FieldDefinition(words[0], type, isArray, versions) { Doc = doc, Primitive = PrimitiveType.Find(type) };
        if (question >= 0)
        {
            field.Nullable = nullable.Length == 0 ? versions : VersionRange.Parse(nullable).Intersect(versions);
        }

        for (; word + 1 < words.Length; word += 2)
        {
            switch (words[word])
            {
                case "=": field.Default = words[word + 1]; break;
                case "tag": field.Tag = int.Parse(words[word + 1], CultureInfo.InvariantCulture); break;
                default: throw new DefinitionException($"'{words[word]}' is neither '=' nor 'tag'");
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
            words = content.Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0)
            {
                continue;
            }

            indent = content.TakeWhile(c => c == ' ').Count();
            doc = hash < 0 ? "" : line.Substring(hash + 1).Trim();
            return true;
        }

        indent = 0;
        words = Array.Empty<string>();
        doc = "";
        return false;
    }
}
