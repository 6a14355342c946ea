using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;

namespace Orleans.Serialization;

/// <summary>Writes the members of a value.</summary>
internal delegate void WriteMembers<T>(WireWriter writer, ref T value);

/// <summary>Fills the members of a value.</summary>
internal delegate void ReadMembers<T>(WireReader reader, ref T value);

/// <summary>Fills the members of one value with copies of another's.</summary>
internal delegate void CopyMembers<T>(ref T from, ref T to);

/// <summary>
/// Generates the code that goes over the members of a type. It reaches private members and fields that are read-only outside of
/// constructors, which is why it is IL and not expression trees, and it boxes nothing.
/// </summary>
internal sealed class MemberEmitter<T>
{
    private const BindingFlags Declared =
        BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    private readonly SerializableMember[] _members;
    private readonly Codec[] _codecs;

    public MemberEmitter(IReadOnlyList<SerializableMember> members, CodecProvider provider)
    {
        _members = [.. members];
        _codecs = [.. members.Select(m => provider.Get(m.Type))];
    }

    /// <summary>No member can be changed by either side of a copy.</summary>
    public bool AllShared => !_members.Where((member, i) => !IsShared(i)).Any();

    public int MinSize => _codecs.Sum(c => c.MinSize);

    public WriteMembers<T> EmitWrite()
    {
        (DynamicMethod method, ILGenerator il) = Begin("Write", typeof(WireWriter), typeof(T).MakeByRefType());
        for (int i = 0; i < _members.Length; i++)
        {
            LoadCodec(il, i);
            il.Emit(OpCodes.Ldarg_1);
            LoadMember(il, OpCodes.Ldarg_2, _members[i].Member);
            il.Emit(OpCodes.Callvirt, CodecMethod(i, nameof(Codec<T>.Write)));
        }

        il.Emit(OpCodes.Ret);
        return method.CreateDelegate<WriteMembers<T>>(_codecs);
    }

    public ReadMembers<T> EmitRead()
    {
        (DynamicMethod method, ILGenerator il) = Begin("Read", typeof(WireReader), typeof(T).MakeByRefType());
        for (int i = 0; i < _members.Length; i++)
        {
            LoadInstance(il, OpCodes.Ldarg_2);
            LoadCodec(il, i);
            il.Emit(OpCodes.Ldarg_1);
            il.Emit(OpCodes.Callvirt, CodecMethod(i, nameof(Codec<T>.Read)));
            StoreMember(il, _members[i].Member);
        }

        il.Emit(OpCodes.Ret);
        return method.CreateDelegate<ReadMembers<T>>(_codecs);
    }

    public CopyMembers<T> EmitCopy()
    {
        (DynamicMethod method, ILGenerator il) = Begin("Copy", typeof(T).MakeByRefType(), typeof(T).MakeByRefType());
        for (int i = 0; i < _members.Length; i++)
        {
            bool shared = IsShared(i);
            LoadInstance(il, OpCodes.Ldarg_2);
            if (!shared)
            {
                LoadCodec(il, i);
            }

            LoadMember(il, OpCodes.Ldarg_1, _members[i].Member);
            if (!shared)
            {
                il.Emit(OpCodes.Callvirt, CodecMethod(i, nameof(Codec<T>.Copy)));
            }

            StoreMember(il, _members[i].Member);
        }

        il.Emit(OpCodes.Ret);
        return method.CreateDelegate<CopyMembers<T>>(_codecs);
    }

    /// <summary>Makes an empty instance: by the parameterless constructor if there is one, otherwise without any.</summary>
    public static Func<T> EmitCreate()
    {
        ConstructorInfo? constructor = typeof(T).GetConstructor(Declared, []);
        if (constructor is null)
        {
            return static () => (T)RuntimeHelpers.GetUninitializedObject(typeof(T));
        }

        var method = new DynamicMethod("Create", typeof(T), [typeof(Codec[])], typeof(Codec).Module, skipVisibility: true);
        ILGenerator il = method.GetILGenerator();
        il.Emit(OpCodes.Newobj, constructor);
        il.Emit(OpCodes.Ret);
        return method.CreateDelegate<Func<T>>(Array.Empty<Codec>());
    }

    private bool IsShared(int i) => _members[i].Shared || _codecs[i].IsShared;

    // A delegate that is bound to an object is called faster than one over a static method; the codecs are that object.
    private static (DynamicMethod Method, ILGenerator Il) Begin(string name, Type first, Type second)
    {
        var method = new DynamicMethod(
            $"{name}_{typeof(T).Name}", typeof(void), [typeof(Codec[]), first, second], typeof(Codec).Module, skipVisibility: true);
        return (method, method.GetILGenerator());
    }

    private static void LoadCodec(ILGenerator il, int i)
    {
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldc_I4, i);
        il.Emit(OpCodes.Ldelem_Ref);
    }

    private MethodInfo CodecMethod(int i, string name) => typeof(Codec<>).MakeGenericType(_members[i].Type).GetMethod(name)!;

    private static void LoadInstance(ILGenerator il, OpCode loadArgument)
    {
        il.Emit(loadArgument);
        if (!typeof(T).IsValueType)
        {
            il.Emit(OpCodes.Ldind_Ref);
        }
    }

    private static void LoadMember(ILGenerator il, OpCode loadArgument, MemberInfo member)
    {
        LoadInstance(il, loadArgument);
        if (member is FieldInfo field)
        {
            il.Emit(OpCodes.Ldfld, field);
            return;
        }

        MethodInfo getter = ((PropertyInfo)member).GetGetMethod(nonPublic: true)
            ?? throw new CodecNotFoundException($"Property {member.Name} of {typeof(T)} has an [Id] but cannot be read.");
        il.Emit(typeof(T).IsValueType ? OpCodes.Call : OpCodes.Callvirt, getter);
    }

    private static void StoreMember(ILGenerator il, MemberInfo member)
    {
        if (member is FieldInfo field)
        {
            il.Emit(OpCodes.Stfld, field);
        }
        else if (((PropertyInfo)member).GetSetMethod(nonPublic: true) is { } setter)
        {
            il.Emit(typeof(T).IsValueType ? OpCodes.Call : OpCodes.Callvirt, setter);
        }
        else if (member.DeclaringType!.GetField($"<{member.Name}>k__BackingField", Declared) is { } backing)
        {
            il.Emit(OpCodes.Stfld, backing);
        }
        else
        {
            throw new CodecNotFoundException($"Property {member.Name} of {typeof(T)} has an [Id] but cannot be set.");
        }
    }
}
