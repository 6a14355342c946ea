using Orleans.Runtime;

namespace Orleans.Serialization;

/// <summary>
/// How the runtime turns grain references and observers into identities and back. A silo or client registers one; without it,
/// grain interfaces cannot be serialized.
/// </summary>
internal interface IReferenceConverter
{
    /// <summary>The identity of a reference, a grain (<c>this</c> passed as an argument) or an observer's reference.</summary>
    /// <exception cref="SerializerException">It is an object of another kind, as an observer that no reference was made for.</exception>
    GrainId GetIdentity(object reference, Type interfaceType);

    /// <summary>A reference to <paramref name="id"/> that implements <paramref name="interfaceType"/>.</summary>
    object CreateReference(GrainId id, Type interfaceType);
}
