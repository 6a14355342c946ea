using System.Collections.Generic;
using System.Linq;

namespace Arus.Protocol.Generator;

/// <summary>Writes the bodies of Read and Write of one structure.</summary>
internal sealed class FieldEmitter
{
    private readonly ApiDefinition _api;
    private readonly StructDefinition _type;
    private readonly CodeWriter _code;
    private readonly VersionRange _known;
    private readonly List<FieldDefinition> _tagged;

    public FieldEmitter(ApiDefinition api, StructDefinition type, CodeWriter code)
    {
        _api = api;
        _type = type;
        _code = code;
        _known = type.Versions.Intersect(api.Versions);
        _tagged = type.Fields.Where(f => f.Tag != null).OrderBy(f => f.Tag).ToList();
    }

    public void Read()
    {
        foreach (FieldDefinition field in _type.Fields.Where(f => f.Tag == null))
        {
            Guarded(field.Versions.Condition(_known), () => ReadField(field, "flexible"));
        }

        _code.Open("if (flexible)");
        if (_tagged.Count == 0)
        {
            _code.Line($"reader.SkipTags({Quote(_type.Path)});");
        }
        else
        {
            ReadTags();
        }

        _code.Close();
    }

    public void Write()
    {
        foreach (FieldDefinition field in _type.Fields.Where(f => f.Tag == null))
        {
            Guarded(field.Versions.Condition(_known), () => WriteField(field, "flexible", "writer"));
        }

        _code.Open("if (flexible)");
        if (_tagged.Count == 0)
        {
            _code.Line("writer.WriteVarUInt(0);");
        }
        else
        {
            WriteTags();
        }

        _code.Close();
    }

    private void ReadTags()
    {
        _code.Open($"for (int tags = reader.ReadTagCount({Quote(_type.Path)}); tags > 0; tags--)");
        _code.Open($"switch (reader.ReadTag(out int outerLimit, {Quote(_type.Path)}))");
        foreach (FieldDefinition field in _tagged)
        {
            string? condition = field.Versions.Condition(_known);
            _code.Open($"case {field.Tag}{(condition == null ? "" : " when " + condition)}:");
            ReadField(field, "true");
            _code.Line($"reader.EndTag(outerLimit, {Quote(Path(field))});");
            _code.Line("break;");
            _code.Close();
        }

        _code.Open("default:");
        _code.Line("reader.SkipTag(outerLimit);");
        _code.Line("break;");
        _code.Close();
        _code.Close();
        _code.Close();
    }

    private void WriteTags()
    {
        var present = _tagged.ToDictionary(f => f, f => And(f.Versions.Condition(_known), CSharp.IsSet(f)));
        _code.Line("uint tags = 0;");
        foreach (FieldDefinition field in _tagged)
        {
            _code.Line($"tags += {present[field]} ? 1u : 0u;");
        }

        _code.Line("writer.WriteVarUInt(tags);");
        foreach (FieldDefinition field in _tagged)
        {
            _code.Open($"if ({present[field]})");
            _code.Line("WireWriter measure = writer.Measure();");
            WriteField(field, "true", "measure");
            _code.Line($"writer.WriteTagHead({field.Tag}, measure.Length);");
            WriteField(field, "true", "writer");
            _code.Close();
        }
    }

    private void ReadField(FieldDefinition field, string flexible)
    {
        string path = Quote(Path(field));
        string target = "value." + field.Name;
        string nullable = NullableTest(field);
        if (field.IsArray)
        {
            ReadArray(field, flexible, nullable);
        }
        else if (field.Struct != null)
        {
            string read = $"{field.Struct.Name}.Read(ref reader, version)";
            _code.Line(field.Nullable == null ? $"{target} = {read};" : $"{target} = reader.ReadPresence({path}) ? {read} : null;");
        }
        else
        {
            string method = field.Primitive!.Method + (field.Nullable != null ? "OrNull" : "");
            string arguments = !field.Primitive.HasLength ? "" : flexible + ", ";
            arguments += field.Nullable != null ? nullable + ", " : "";
            _code.Line($"{target} = reader.Read{method}({arguments}{path});");
        }
    }

    private void ReadArray(FieldDefinition field, string flexible, string nullable)
    {
        string element = CSharp.ElementType(field);
        int minSize = field.Struct?.MinSize(_api) ?? System.Math.Min(field.ElementMinSize(_api, true), field.ElementMinSize(_api, false));
        string count = $"count{field.Name}", items = $"items{field.Name}";
        _code.Open();
        _code.Line($"int {count} = reader.ReadArrayLength({flexible}, {nullable}, {minSize}, {Quote(Path(field))});");
        string create = $"{count} == 0 ? [] : new {element}[{count}]";
        _code.Line($"{element}[]{(field.Nullable == null ? "" : "?")} {items} = {(field.Nullable == null ? create : $"{count} < 0 ? null : {create}")};");
        _code.Open($"for (int i = 0; i < {count}; i++)");
        string read = field.Struct != null
            ? $"{field.Struct.Name}.Read(ref reader, version)"
            : $"reader.Read{field.Primitive!.Method}({(field.Primitive.HasLength ? flexible + ", " : "")}{Quote(Path(field))})";
        _code.Line($"{items}{(field.Nullable == null ? "" : "!")}[i] = {read};");
        _code.Close();
        _code.Line();
        _code.Line($"value.{field.Name} = {items};");
        _code.Close();
    }

    private void WriteField(FieldDefinition field, string flexible, string writer)
    {
        string path = Quote(Path(field));
        string nullable = NullableTest(field);
        if (field.IsArray)
        {
            string length = field.Nullable == null ? $"{field.Name}.Length" : $"{field.Name}?.Length ?? -1";
            _code.Line($"{writer}.WriteArrayLength({flexible}, {length}, {nullable}, {path});");
            _code.Open($"foreach ({CSharp.ElementType(field)} item in {field.Name}{(field.Nullable == null ? "" : " ?? []")})");
            _code.Line(field.Struct != null
                ? $"item.Write(ref {writer}, version);"
                : $"{writer}.Write{field.Primitive!.Method}({(field.Primitive.HasLength ? flexible + ", " : "")}item{(field.Primitive.HasLength ? ", " + path : "")});");
            _code.Close();
        }
        else if (field.Struct != null)
        {
            if (field.Nullable != null)
            {
                _code.Line($"{writer}.WritePresence({field.Name} is not null);");
            }

            _code.Line($"{field.Name}{(CSharp.IsNullable(field) ? "?" : "")}.Write(ref {writer}, version);");
        }
        else if (field.Primitive!.HasLength)
        {
            string method = field.Primitive.Method + (field.Nullable != null ? "OrNull" : "");
            _code.Line($"{writer}.Write{method}({flexible}, {field.Name}, {(field.Nullable != null ? nullable + ", " : "")}{path});");
        }
        else
        {
            _code.Line($"{writer}.Write{field.Primitive.Method}({field.Name});");
        }
    }

    /// <summary>The C# test that null is allowed, in a version that has the field.</summary>
    private string NullableTest(FieldDefinition field) =>
        field.Nullable is { } range ? range.Condition(field.Versions.Intersect(_known)) ?? "true" : "false";

    private string Path(FieldDefinition field) => _type.Path.Length == 0 ? field.Name : _type.Path + "." + field.Name;

    private void Guarded(string? condition, System.Action body)
    {
        if (condition == null)
        {
            body();
            return;
        }

        _code.Open($"if ({condition})");
        body();
        _code.Close();
    }

    private static string And(string? condition, string test) => condition == null ? $"({test})" : $"({condition} && {test})";

    private static string Quote(string text) => "\"" + text + "\"";
}
