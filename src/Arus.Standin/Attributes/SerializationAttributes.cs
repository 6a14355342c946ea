namespace Orleans;

/// <summary>The name of a type or method on the wire; it survives renames.</summary>
[AttributeUsage(
    AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Method | AttributeTargets.Interface,
    AllowMultiple = true)]
public sealed class AliasAttribute(string alias) : Attribute
{
    public string Alias { get; } = alias;
}

/// <summary>Which members a serializer takes without an <see cref="IdAttribute"/>.</summary>
public enum GenerateFieldIds
{
    None = 0,
    PublicProperties = 1,
}

/// <summary>The type may be an argument, a result or grain state.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Enum)]
public sealed class GenerateSerializerAttribute : Attribute
{
    public GenerateFieldIds GenerateFieldIds { get; init; }

    public bool IncludePrimaryConstructorParameters { get; init; } = true;
}

/// <summary>The number of a member on the wire, unique in its type.</summary>
[AttributeUsage(
    AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Method | AttributeTargets.Property
    | AttributeTargets.Field | AttributeTargets.Parameter)]
public sealed class IdAttribute(uint id) : Attribute
{
    public uint Id { get; } = id;
}

/// <summary>Values of the type, or of the parameter, are never written to after they were passed: calls inside a silo share them.</summary>
[AttributeUsage(
    AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Property | AttributeTargets.Field | AttributeTargets.Parameter
    | AttributeTargets.ReturnValue,
    Inherited = false)]
public sealed class ImmutableAttribute : Attribute;

/// <summary>Marks an <see cref="IConverter{TValue, TSurrogate}"/> for the serializer to find.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct)]
public sealed class RegisterConverterAttribute : Attribute;

/// <summary>References to one object are written each time they occur; the reader sees copies.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class SuppressReferenceTrackingAttribute : Attribute;

/// <summary>A base class without members of its own to serialize.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class SerializerTransparentAttribute : Attribute;

/// <summary>Turns a type that cannot be annotated into one that can, and back.</summary>
public interface IConverter<TValue, TSurrogate>
    where TSurrogate : struct
{
    TValue ConvertFromSurrogate(in TSurrogate surrogate);

    TSurrogate ConvertToSurrogate(in TValue value);
}

/// <summary>As <see cref="IConverter{TValue, TSurrogate}"/>, for classes that others inherit from.</summary>
public interface IPopulator<TValue, TSurrogate>
    where TValue : class
    where TSurrogate : struct
{
    void Populate(in TSurrogate surrogate, TValue value);
}

/// <summary>How long a caller waits for this method's response, instead of <c>MessagingOptions.ResponseTimeout</c>.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ResponseTimeoutAttribute(string timeout) : Attribute
{
    public TimeSpan? Timeout { get; init; } = TimeSpan.Parse(timeout, System.Globalization.CultureInfo.InvariantCulture);
}
