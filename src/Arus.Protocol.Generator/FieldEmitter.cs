using System;
using System.Collections.Generic;
using System.Linq;

namespace Arus.Protocol.Generator;

/// <summary>Writes the bodies of Read and Write of one structure.</summary>
internal sealed class FieldEmitter(Definition definition, StructDefinition type, CodeWriter code)
{
    private const string Compact = "LengthFormat.Compact";

    private readonly VersionRange _known = type.Versions.Intersect(definition.Versions);
    private readonly List<FieldDefinition> _tagged = [.. type.Fields.Where(f => f.Tag != null).OrderBy(f => f.Tag)];

    /// <summary>The C# expression of how lengths are written: a local where the version decides.</summary>
    private readonly string _lengths =
        definition.HasVarintLengths ? "LengthFormat.Varint" : definition.IsEverFlexible ? "lengths" : "LengthFormat.Fixed";

    public void Read()
    {
        DeclareLengths();
        code.Line($"var value = new {type.Name}();");
        foreach (FieldDefinition field in type.Fields.Where(f => f.Tag == null))
            Guarded(field.Versions.Condition(_known), () => ReadField(field, _lengths));

        TagSection($"reader.SkipTags({Quote(type.Path)});", ReadTags);
        code.Line("return value;");
    }

    public void Write()
    {
        DeclareLengths();
        foreach (FieldDefinition field in type.Fields.Where(f => f.Tag == null))
            Guarded(field.Versions.Condition(_known), () => WriteField(field, _lengths, "writer"));

        TagSection("writer.WriteVarUInt(0);", WriteTags);
    }

    private void DeclareLengths()
    {
        if (definition.IsEverFlexible)
            code.Line($"LengthFormat lengths = version >= {definition.FlexibleSince} ? {Compact} : LengthFormat.Fixed;");
    }

    private void TagSection(string none, Action some)
    {
        if (definition.IsEverFlexible)
            Guarded($"lengths == {Compact}", _tagged.Count == 0 ? () => code.Line(none) : some);
    }

    private void ReadTags()
    {
        code.Block($"for (int tags = reader.ReadTagCount({Quote(type.Path)}); tags > 0; tags--)", () =>
            code.Block($"switch (reader.ReadTag(out int outerLimit, {Quote(type.Path)}))", () =>
            {
                foreach (FieldDefinition field in _tagged)
                {
                    string? condition = field.Versions.Condition(_known);
                    code.Block($"case {field.Tag}{(condition == null ? "" : " when " + condition)}:", () =>
                    {
                        ReadField(field, Compact);
                        code.Line($"reader.EndTag(outerLimit, {Path(field)});");
                        code.Line("break;");
                    });
                }

                code.Block("default:", "reader.SkipTag(outerLimit);", "break;");
            }));
    }

    private void WriteTags()
    {
        code.Line("uint tags = 0;");
        foreach (FieldDefinition field in _tagged)
            code.Line($"tags += {IsPresent(field)} ? 1u : 0u;");

        code.Line("writer.WriteVarUInt(tags);");
        foreach (FieldDefinition field in _tagged)
        {
            code.Block($"if {IsPresent(field)}", () =>
            {
                code.Line("WireWriter measure = writer.Measure();");
                WriteField(field, Compact, "measure");
                code.Line($"writer.WriteTagHead({field.Tag}, measure.Length);");
                WriteField(field, Compact, "writer");
            });
        }
    }

    private void ReadField(FieldDefinition field, string lengths)
    {
        string target = "value." + field.Name, path = Path(field);
        if (field.IsArray)
        {
            ReadArray(field, lengths);
        }
        else if (field.Struct != null)
        {
            string read = $"{field.Struct.Name}.Read(ref reader, version)";
            code.Line(field.Nullable == null ? $"{target} = {read};" : $"{target} = reader.ReadPresence({path}) ? {read} : null;");
        }
        else if (field.CountedBy != null)
        {
            code.Line($"{target} = reader.ReadRaw({LengthOf(field)}, {path});");
        }
        else
        {
            string assigned = field.Counts == null ? target : "int lengthOf" + field.Counts;
            code.Line($"{assigned} = {ReadPrimitive(field, lengths, field.Nullable == null ? null : NullableTest(field))};");
        }
    }

    /// <summary>The C# that reads a value or an element.</summary>
    /// <param name="mayBeNull">The test that null is allowed; null if it never is.</param>
    private string ReadPrimitive(FieldDefinition field, string lengths, string? mayBeNull)
    {
        string arguments = field.Primitive!.HasLength ? $"{lengths}, {mayBeNull ?? "false"}, " : "";
        return $"reader.Read{field.Primitive.Method}({arguments}{Path(field)}){(mayBeNull == null ? field.Primitive.NotNull : "")}";
    }

    private void ReadArray(FieldDefinition field, string lengths)
    {
        string element = CSharp.ElementType(field), path = Path(field);
        int minSize = field.ElementMinSize(definition, definition.Versions.Max);
        string count = $"count{field.Name}", items = $"items{field.Name}", mayBeNull = field.Nullable == null ? "" : "?";
        string arguments = $"{NullableTest(field)}, {minSize}, {path}";
        code.Line(field.CountedBy != null
            ? $"int {count} = reader.CheckCount({LengthOf(field)}, {arguments});"
            : $"int {count} = reader.ReadArrayLength({lengths}, {arguments});");
        string create = $"{count} == 0 ? [] : new {element}[{count}]";
        code.Line($"{element}[]{mayBeNull} {items} = {(field.Nullable == null ? create : $"{count} < 0 ? null : {create}")};");
        string read = field.Struct != null ? $"{field.Struct.Name}.Read(ref reader, version)" : ReadPrimitive(field, lengths, null);
        code.Block($"for (int i = 0; i < {count}; i++)", $"{items}{(field.Nullable == null ? "" : "!")}[i] = {read};");
        code.Line($"value.{field.Name} = {items};");
    }

    private void WriteField(FieldDefinition field, string lengths, string writer)
    {
        string path = Path(field), nullable = NullableTest(field);
        if (field.IsArray)
        {
            if (field.CountedBy == null)
            {
                string length = field.Nullable == null ? $"{field.Name}.Length" : $"{field.Name}?.Length ?? -1";
                code.Line($"{writer}.WriteArrayLength({lengths}, {length}, {nullable}, {path});");
            }

            code.Block(
                $"foreach ({CSharp.ElementType(field)} item in {field.Name}{(field.Nullable == null ? "" : " ?? []")})",
                field.Struct != null ? $"item.Write(ref {writer}, version);" : WritePrimitive("item", "false"));
        }
        else if (field.Struct != null)
        {
            if (field.Nullable != null)
                code.Line($"{writer}.WritePresence({field.Name} is not null);");

            code.Line($"{field.Name}{(CSharp.IsNullable(field) ? "?" : "")}.Write(ref {writer}, version);");
        }
        else if (field.CountedBy != null)
        {
            code.Line($"{writer}.WriteMemory({field.Name});");
        }
        else
        {
            string value = field.Counts == null ? field.Name : $"checked(({field.Primitive!.CSharp}){field.Counts}.Length)";
            code.Line(WritePrimitive(value, nullable));
        }

        string WritePrimitive(string value, string mayBeNull) =>
            $"{writer}.Write{field.Primitive!.Method}({(field.Primitive.HasLength ? $"{lengths}, {value}, {mayBeNull}, {path}" : value)});";
    }

    private static string LengthOf(FieldDefinition field) => "lengthOf" + field.Name;

    /// <summary>The C# test that null is allowed, in a version that has the field.</summary>
    private string NullableTest(FieldDefinition field) =>
        field.Nullable is { } range ? range.Condition(field.Versions.Intersect(_known)) ?? "true" : "false";

    private string Path(FieldDefinition field) => Quote(type.PathOf(field.Name));

    private void Guarded(string? condition, Action body)
    {
        if (condition == null)
            body();
        else
            code.Block($"if ({condition})", body);
    }

    private string IsPresent(FieldDefinition field) =>
        field.Versions.Condition(_known) is { } condition ? $"({condition} && {CSharp.IsSet(field)})" : $"({CSharp.IsSet(field)})";

    private static string Quote(string text) => "\"" + text + "\"";
}
