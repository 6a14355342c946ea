using System.Runtime.CompilerServices;

namespace Orleans.Runtime;

/// <summary>Base of the generated references to grains and observers. Immutable; safe for concurrent use.</summary>
public abstract class GrainReference : IAddressable, IEquatable<GrainReference>
{
    private readonly InterfaceMap _interface;

    internal GrainReference(InterfaceMap interfaceMap, GrainId grainId, SiloAddress? fixedSilo)
    {
        _interface = interfaceMap;
        GrainId = grainId;
        FixedSilo = fixedSilo;
    }

    public GrainId GrainId { get; }

    public GrainInterfaceType InterfaceType => _interface.Name;

    public string InterfaceName => _interface.Type.Name;

    internal RuntimeCore Runtime => _interface.Runtime;

    /// <summary>Set in references to what is not found by the directory: services of a silo.</summary>
    internal SiloAddress? FixedSilo { get; }

    /// <summary>The activation that the last call in this silo went to, so that the next need not look for it.</summary>
    internal Activation? LastActivation { get; set; }

    public bool Equals(GrainReference? other) => other is not null && GrainId == other.GrainId && Equals(FixedSilo, other.FixedSilo);

    public override bool Equals(object? obj) => Equals(obj as GrainReference);

    public override int GetHashCode() => GrainId.GetHashCode();

    public uint GetUniformHashCode() => GrainId.GetUniformHashCode();

    public sealed override string ToString() => $"GrainReference:{GrainId}";

    public static bool operator ==(GrainReference? left, GrainReference? right) => left?.Equals(right) ?? right is null;

    public static bool operator !=(GrainReference? left, GrainReference? right) => !(left == right);

    // The generated methods call one of these, by the return type of the interface's method.
    internal Task InvokeTask<TArgs>(int method, TArgs args) => Runtime.Call(this, Method<TArgs, Nothing>(method), args);

    internal Task<TResult> InvokeTaskOf<TArgs, TResult>(int method, TArgs args) => Runtime.Call(this, Method<TArgs, TResult>(method), args);

    internal ValueTask InvokeValueTask<TArgs>(int method, TArgs args) => new(Runtime.Call(this, Method<TArgs, Nothing>(method), args));

    internal ValueTask<TResult> InvokeValueTaskOf<TArgs, TResult>(int method, TArgs args) => new(Runtime.Call(this, Method<TArgs, TResult>(method), args));

    internal void InvokeVoid<TArgs>(int method, TArgs args) => _ = Runtime.Call(this, Method<TArgs, Nothing>(method), args);

    private GrainMethod<TArgs, TResult> Method<TArgs, TResult>(int method) => Unsafe.As<GrainMethod<TArgs, TResult>>(_interface.Methods[method]);
}

/// <summary>The result of a method that has none.</summary>
internal readonly struct Nothing;
