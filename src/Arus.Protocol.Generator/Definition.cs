using System;
using System.Collections.Generic;
using System.Linq;

namespace Arus.Protocol.Generator;

/// <summary>A mistake in a definition file; reported as a compiler error at the line.</summary>
internal sealed class DefinitionException(string message) : Exception(message);

/// <summary>One file: an API with its request and response, or one data message. All of it has one range of versions.</summary>
/// <param name="ApiKey">Null for a data message.</param>
/// <param name="HasVarintLengths">Lengths are varints of Kafka's record format, in every version.</param>
internal sealed record Definition(int? ApiKey, string Name, VersionRange Versions, int FlexibleSince, bool HasVarintLengths)
{
    /// <summary>The request and the response, or the data message.</summary>
    public List<StructDefinition> Messages { get; } = [];

    public bool IsEverFlexible => FlexibleSince <= Versions.Max;

    public bool HasShortLengths(int version) => HasVarintLengths || version >= FlexibleSince;
}

/// <summary>A message or a structure inside one.</summary>
/// <param name="Path">The fields that lead here, for error messages.</param>
internal sealed record StructDefinition(string Name, string Path, VersionRange Versions)
{
    public List<FieldDefinition> Fields { get; } = [];

    /// <summary>Of a message: every structure inside it, at any depth.</summary>
    public List<StructDefinition> Nested { get; } = [];

    public string PathOf(string field) => Path.Length == 0 ? field : Path + "." + field;

    /// <summary>The least number of bytes that a value takes in any version that has it.</summary>
    public int MinSize(Definition definition)
    {
        VersionRange known = Versions.Intersect(definition.Versions);
        return Enumerable.Range(known.Min, known.Max - known.Min + 1).Min(SizeIn);

        int SizeIn(int version) => (version >= definition.FlexibleSince ? 1 : 0)
            + Fields.Where(field => field.Tag == null && field.Versions.Contains(version)).Sum(field => field.MinSize(definition, version));
    }
}

internal sealed record FieldDefinition(string Name, string TypeName, bool IsArray, VersionRange Versions, string Doc)
{
    /// <summary>The versions in which null is allowed; null if none.</summary>
    public VersionRange? Nullable { get; set; }

    public string? Default { get; set; }

    public int? Tag { get; set; }

    /// <summary>The name of the field whose length this one is; such a field is no property.</summary>
    public string? Counts { get; set; }

    /// <summary>The field in front of this one that holds its length, in place of a length prefix.</summary>
    public FieldDefinition? CountedBy { get; set; }

    /// <summary>The structure of the field or of its elements; null for primitive types.</summary>
    public StructDefinition? Struct { get; set; }

    public PrimitiveType? Primitive { get; } = PrimitiveType.Find(TypeName);

    public int MinSize(Definition definition, int version) =>
        CountedBy != null ? 0
        : IsArray ? (definition.HasShortLengths(version) ? 1 : 4)
        : Nullable != null && Struct != null ? 1
        : ElementMinSize(definition, version);

    /// <summary>The least size of one element of an array field.</summary>
    public int ElementMinSize(Definition definition, int version) =>
        Struct?.MinSize(definition) ?? (Primitive!.HasLength && definition.HasShortLengths(version) ? 1 : Primitive.Size);
}

/// <summary>How a primitive type of the definitions looks in C# and on the wire.</summary>
/// <param name="CSharp">The type of the property.</param>
/// <param name="Method">The suffix of the reader's and the writer's methods.</param>
/// <param name="Size">The least size; of a type with a length prefix, where that has its fixed width.</param>
/// <param name="HasLength">Whether it has a length prefix.</param>
/// <param name="NotNull">The C# that makes of what was read a value which is not null.</param>
internal sealed record PrimitiveType(string CSharp, string Method, int Size, bool HasLength = false, string NotNull = "")
{
    private static readonly Dictionary<string, PrimitiveType> All = new(StringComparer.Ordinal)
    {
        ["bool"] = new("bool", "Bool", 1),
        ["int8"] = new("sbyte", "Int8", 1),
        ["int16"] = new("short", "Int16", 2),
        ["uint16"] = new("ushort", "UInt16", 2),
        ["int32"] = new("int", "Int32", 4),
        ["int64"] = new("long", "Int64", 8),
        ["varint"] = new("int", "VarInt", 1),
        ["varlong"] = new("long", "VarLong", 1),
        ["float64"] = new("double", "Float64", 8),
        ["uuid"] = new("global::System.Guid", "Uuid", 16),
        ["error"] = new("global::Arus.ErrorCode", "ErrorCode", 2),
        ["string"] = new("string", "String", 2, HasLength: true, "!"),
        ["bytes"] = new("global::System.ReadOnlyMemory<byte>", "Bytes", 4, HasLength: true, ".GetValueOrDefault()"),
        ["records"] = new("Records", "Records", 4, HasLength: true),
    };

    public static PrimitiveType? Find(string name) => All.TryGetValue(name, out PrimitiveType? type) ? type : null;
}
