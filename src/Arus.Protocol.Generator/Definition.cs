using System;
using System.Collections.Generic;

namespace Arus.Protocol.Generator;

/// <summary>A mistake in a definition file; reported as a compiler error at the line.</summary>
internal sealed class DefinitionException : Exception
{
    public DefinitionException(string message, int line = 0)
        : base(message) => Line = line;

    public int Line { get; }
}

/// <summary>One API: a request and a response with one range of versions.</summary>
internal sealed class ApiDefinition
{
    public ApiDefinition(int key, string name, VersionRange versions, int flexibleSince)
    {
        Key = key;
        Name = name;
        Versions = versions;
        FlexibleSince = flexibleSince;
    }

    public int Key { get; }

    public string Name { get; }

    public VersionRange Versions { get; }

    public int FlexibleSince { get; }

    public StructDefinition? Request { get; set; }

    public StructDefinition? Response { get; set; }
}

/// <summary>A message or a structure inside one.</summary>
internal sealed class StructDefinition
{
    public StructDefinition(string name, string path, VersionRange versions)
    {
        Name = name;
        Path = path;
        Versions = versions;
    }

    public string Name { get; }

    /// <summary>The fields that lead here, for error messages.</summary>
    public string Path { get; }

    public VersionRange Versions { get; }

    public List<FieldDefinition> Fields { get; } = new List<FieldDefinition>();

    /// <summary>Of a message: every structure inside it, at any depth.</summary>
    public List<StructDefinition> Nested { get; } = new List<StructDefinition>();

    /// <summary>The least number of bytes that a value takes in any version that has it.</summary>
    public int MinSize(ApiDefinition api)
    {
        VersionRange known = Versions.Intersect(api.Versions);
        int least = int.MaxValue;
        for (int version = known.Min; version <= known.Max; version++)
        {
            bool flexible = version >= api.FlexibleSince;
            int size = flexible ? 1 : 0;
            foreach (FieldDefinition field in Fields)
            {
                bool present = field.Tag == null && version >= field.Versions.Min && version <= field.Versions.Max;
                size += present ? field.MinSize(api, flexible) : 0;
            }

            least = Math.Min(least, size);
        }

        return least;
    }
}

internal sealed class FieldDefinition
{
    public FieldDefinition(string name, string typeName, bool isArray, VersionRange versions)
    {
        Name = name;
        TypeName = typeName;
        IsArray = isArray;
        Versions = versions;
    }

    public string Name { get; }

    public string TypeName { get; }

    public bool IsArray { get; }

    public VersionRange Versions { get; }

    /// <summary>The versions in which null is allowed; null if none.</summary>
    public VersionRange? Nullable { get; set; }

    public string? Default { get; set; }

    public int? Tag { get; set; }

    public string Doc { get; set; } = "";

    /// <summary>The structure of the field or of its elements; null for primitive types.</summary>
    public StructDefinition? Struct { get; set; }

    public PrimitiveType? Primitive { get; set; }

    public int MinSize(ApiDefinition api, bool flexible) =>
        IsArray ? (flexible ? 1 : 4) : Nullable != null && Struct != null ? 1 : ElementMinSize(api, flexible);

    /// <summary>The least size of one element of an array field.</summary>
    public int ElementMinSize(ApiDefinition api, bool flexible) =>
        Struct != null ? Struct.MinSize(api) : Primitive!.HasLength && flexible ? 1 : Primitive!.Size;
}

/// <summary>How a primitive type of the definitions looks in C# and on the wire.</summary>
internal sealed class PrimitiveType
{
    private static readonly Dictionary<string, PrimitiveType> All = new Dictionary<string, PrimitiveType>(StringComparer.Ordinal)
    {
        ["bool"] = new PrimitiveType("bool", "Bool", 1),
        ["int8"] = new PrimitiveType("sbyte", "Int8", 1),
        ["int16"] = new PrimitiveType("short", "Int16", 2),
        ["uint16"] = new PrimitiveType("ushort", "UInt16", 2),
        ["int32"] = new PrimitiveType("int", "Int32", 4),
        ["int64"] = new PrimitiveType("long", "Int64", 8),
        ["float64"] = new PrimitiveType("double", "Float64", 8),
        ["uuid"] = new PrimitiveType("System.Guid", "Uuid", 16),
        ["error"] = new PrimitiveType("Arus.ErrorCode", "ErrorCode", 2),
        ["string"] = new PrimitiveType("string", "String", 2) { HasLength = true },
        ["bytes"] = new PrimitiveType("System.ReadOnlyMemory<byte>", "Bytes", 4) { HasLength = true },
        ["records"] = new PrimitiveType("Records", "Records", 4) { HasLength = true },
    };

    private PrimitiveType(string csharp, string method, int size)
    {
        CSharp = csharp;
        Method = method;
        Size = size;
    }

    public string CSharp { get; }

    /// <summary>The suffix of the reader's and the writer's methods.</summary>
    public string Method { get; }

    /// <summary>The least size before flexible versions; with a length prefix, 1 since.</summary>
    public int Size { get; }

    public bool HasLength { get; private set; }

    public static PrimitiveType? Find(string name) => All.TryGetValue(name, out PrimitiveType? type) ? type : null;
}
