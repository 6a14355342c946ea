using System.Linq.Expressions;
using System.Reflection;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>The arguments of a method are a value tuple, nested where there are more than seven.</summary>
internal static class ArgumentTuple
{
    private const int Flat = 7;

    private static readonly Type[] Generic =
    [
        typeof(ValueTuple), typeof(ValueTuple<>), typeof(ValueTuple<,>), typeof(ValueTuple<,,>), typeof(ValueTuple<,,,>),
        typeof(ValueTuple<,,,,>), typeof(ValueTuple<,,,,,>), typeof(ValueTuple<,,,,,,>), typeof(ValueTuple<,,,,,,,>),
    ];

    public static Type TypeOf(ReadOnlySpan<Type> types) =>
        types.Length == 0 ? typeof(ValueTuple)
        : types.Length <= Flat ? Generic[types.Length].MakeGenericType(types.ToArray())
        : Generic[Flat + 1].MakeGenericType([.. types[..Flat], TypeOf(types[Flat..])]);

    public static Expression Item(Expression tuple, int index) =>
        index < Flat ? Expression.Field(tuple, $"Item{index + 1}") : Item(Expression.Field(tuple, "Rest"), index - Flat);

    public static Expression New(Type type, ReadOnlySpan<Expression> items) =>
        items.Length == 0 ? Expression.Default(type)
        : items.Length <= Flat ? Expression.New(type.GetConstructors()[0], items.ToArray())
        : Expression.New(type.GetConstructors()[0], [.. items[..Flat], New(type.GetGenericArguments()[Flat], items[Flat..])]);
}

/// <summary>Writes, reads and copies the arguments of one method; parameters marked [Immutable] are not copied.</summary>
internal sealed class ArgumentsCodec<TArgs>
{
    private readonly Action<WireWriter, TArgs> _write;
    private readonly Func<WireReader, TArgs> _read;
    private readonly Func<TArgs, TArgs>? _copy;

    public ArgumentsCodec(MethodInfo info, CodecProvider codecs)
    {
        ParameterInfo[] parameters = info.GetParameters();
        Codec[] items = [.. parameters.Select(parameter => codecs.Get(parameter.ParameterType))];
        bool[] shared = [.. parameters.Select((parameter, index) =>
            items[index].IsShared || parameter.IsDefined(typeof(ImmutableAttribute), inherit: false))];
        ParameterExpression writer = Expression.Parameter(typeof(WireWriter), "writer");
        ParameterExpression reader = Expression.Parameter(typeof(WireReader), "reader");
        ParameterExpression args = Expression.Parameter(typeof(TArgs), "args");

        _write = Expression.Lambda<Action<WireWriter, TArgs>>(
            Expression.Block([
                .. items.Select((codec, index) => Call(codec, nameof(Codec<object>.Write), writer, ArgumentTuple.Item(args, index))), Expression.Empty()]),
            writer, args).Compile();
        _read = Expression.Lambda<Func<WireReader, TArgs>>(
            ArgumentTuple.New(typeof(TArgs), [.. items.Select(codec => Call(codec, nameof(Codec<object>.Read), reader))]), reader).Compile();
        _copy = Array.TrueForAll(shared, one => one) ? null : Expression.Lambda<Func<TArgs, TArgs>>(
            ArgumentTuple.New(
                typeof(TArgs),
                [.. items.Select((codec, index) => shared[index]
                    ? ArgumentTuple.Item(args, index)
                    : Call(codec, nameof(Codec<object>.Copy), ArgumentTuple.Item(args, index)))]),
            args).Compile();
    }

    public void Write(WireWriter writer, TArgs args) => _write(writer, args);

    public TArgs Read(WireReader reader) => _read(reader);

    public TArgs Copy(TArgs args) => _copy is null ? args : _copy(args);

    private static Expression Call(Codec codec, string method, params Expression[] arguments)
    {
        Type type = typeof(Codec<>).MakeGenericType(codec.Type);
        return Expression.Call(Expression.Constant(codec, type), type.GetMethod(method)!, arguments);
    }
}
