using System.Linq;

namespace Arus.Protocol.Generator;

/// <summary>Writes the C# of the messages of one definition.</summary>
internal sealed class MessageEmitter(Definition definition)
{
    private readonly CodeWriter _code = new();

    public static string Emit(Definition definition)
    {
        var emitter = new MessageEmitter(definition);
        definition.Messages.ForEach(emitter.Message);
        return emitter._code.ToString();
    }

    private void Message(StructDefinition message)
    {
        bool isRequest = definition.Messages.Count > 1 && message == definition.Messages[0];
        string kind = definition.ApiKey == null ? "Data message"
            : $"{(isRequest ? "Request" : "Response")} of {definition.Name} (API {definition.ApiKey})";
        string contract = definition.ApiKey == null ? $"IDataMessage<{message.Name}>"
            : isRequest ? $"IApiRequest<{message.Name}, {definition.Messages[1].Name}>"
            : $"IApiMessage<{message.Name}>";
        _code.Line();
        _code.Line($"/// <summary>{kind}, versions {definition.Versions}.</summary>");
        _code.Block($"public sealed class {message.Name} : {contract}", () =>
        {
            if (definition.ApiKey == null)
            {
                _code.Line($"public static short MinVersion => {definition.Versions.Min};");
                _code.Line($"public static short MaxVersion => {definition.Versions.Max};");
            }
            else
            {
                _code.Line($"public static ApiDescriptor Descriptor => ApiCatalog.{definition.Name};");
                _code.Line("ApiDescriptor IApiMessage.Api => Descriptor;");
                _code.Line($"bool IApiMessage.IsRequest => {(isRequest ? "true" : "false")};");
            }

            Body(message, isMessage: true);
            message.Nested.ForEach(nested => Nested(message, nested));
        });
    }

    private void Nested(StructDefinition message, StructDefinition nested)
    {
        _code.Line();
        _code.Line($"/// <summary>Structure of <see cref=\"{message.Name}\"/>: {nested.Path}.</summary>");

        // Data messages hold many small structures, which are read and written whole.
        _code.Block($"public {(definition.ApiKey == null ? "record struct" : "sealed class")} {nested.Name}", () =>
        {
            _code.Line("/// <summary>Every field has its default.</summary>");
            _code.Block($"public {nested.Name}()");
            Body(nested, isMessage: false);
        });
    }

    private void Body(StructDefinition type, bool isMessage)
    {
        foreach (FieldDefinition field in type.Fields.Where(f => f.Counts == null))
            Property(type, field);

        var emitter = new FieldEmitter(definition, type, _code);
        string begin = $"Begin(\"{type.Name}\", {definition.Versions.Min}, {definition.Versions.Max}, version);";
        Method("static " + type.Name + " Read(ref WireReader reader", "reader." + begin, emitter.Read);
        Method("void Write(ref WireWriter writer", "writer." + begin, emitter.Write);

        void Method(string signature, string first, System.Action body)
        {
            _code.Line();
            _code.Line(isMessage ? "/// <inheritdoc/>" : "/// <summary>Part of the message's method of that name.</summary>");
            _code.Block($"{(isMessage ? "public" : "internal")} {signature}, short version)", () =>
            {
                if (isMessage)
                    _code.Line(first);

                body();
            });
        }
    }

    private void Property(StructDefinition type, FieldDefinition field)
    {
        VersionRange known = type.Versions.Intersect(definition.Versions);
        string doc = field.Doc.Length == 0 ? "" : Escape(field.Doc).TrimEnd('.') + ". ";
        doc += field.Versions.Covers(known) ? "" : $"Versions {field.Versions}. ";
        doc += field.Nullable is { } range && !range.Covers(field.Versions.Intersect(known)) ? $"Null in versions {range} only. " : "";
        _code.Line();
        if (doc.Length > 0)
            _code.Line($"/// <summary>{doc.TrimEnd()}</summary>");

        string initial = CSharp.Initial(field);
        _code.Line($"public {CSharp.PropertyType(field)} {field.Name} {{ get; set; }}{(initial.Length == 0 ? "" : $" = {initial};")}");
    }

    private static string Escape(string text) => text.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;");
}

/// <summary>The C# of types and defaults.</summary>
internal static class CSharp
{
    public static string ElementType(FieldDefinition field) => field.Struct?.Name ?? field.Primitive!.CSharp;

    /// <summary>A tagged structure is null when absent, and so is whatever may be null on the wire; records know null themselves.</summary>
    public static bool IsNullable(FieldDefinition field) =>
        field.Primitive?.Method != "Records" && (field.Nullable != null || (field.Struct != null && !field.IsArray && field.Tag != null));

    public static string PropertyType(FieldDefinition field) =>
        ElementType(field) + (field.IsArray ? "[]" : "") + (IsNullable(field) ? "?" : "");

    public static string Initial(FieldDefinition field) =>
        field.Default is { } text && text != "null" ? text
        : IsNullable(field) ? ""
        : field.IsArray ? "[]"
        : field.Struct != null ? "new()"
        : field.Primitive!.Method == "String" ? "\"\""
        : "";

    /// <summary>The test that a tagged field has something to say.</summary>
    public static string IsSet(FieldDefinition field) =>
        IsNullable(field) ? $"{field.Name} is not null"
        : field.IsArray || field.Primitive!.HasLength ? $"{field.Name}.Length > 0"
        : $"{field.Name} != {field.Default ?? "default"}";
}
