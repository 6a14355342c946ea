using System.Linq.Expressions;
using System.Reflection;
using Orleans.Concurrency;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>A method of a grain interface: how it is named, called and put on the wire.</summary>
internal abstract class GrainMethod
{
    protected GrainMethod(Type interfaceType, MethodInfo info)
    {
        Info = info;
        Id = IdOf(interfaceType, info);
        Description = $"{interfaceType.Name}.{info.Name}";
        OneWay = info.IsDefined(typeof(OneWayAttribute)) || info.ReturnType == typeof(void);
        AlwaysInterleave = info.IsDefined(typeof(AlwaysInterleaveAttribute));
        ReadOnly = info.IsDefined(typeof(ReadOnlyAttribute));
        ResponseTimeout = info.GetCustomAttribute<ResponseTimeoutAttribute>()?.Timeout;
    }

    public MethodInfo Info { get; }

    /// <summary>What stands for interface and method on the wire: a hash of their names, the same in every process.</summary>
    public ulong Id { get; }

    public string Description { get; }

    public bool OneWay { get; }

    public bool AlwaysInterleave { get; }

    public bool ReadOnly { get; }

    public TimeSpan? ResponseTimeout { get; }

    public static ulong IdOf(Type interfaceType, MethodInfo info)
    {
        // A method without an alias is told from its overloads by its parameters.
        string method = info.GetCustomAttribute<AliasAttribute>()?.Alias
            ?? $"{info.Name}({string.Join(',', info.GetParameters().Select(parameter => parameter.ParameterType.ToString()))})";
        return StableHash.Of64($"{InterfaceMap.NameOf(interfaceType)}/{method}");
    }

    /// <summary>Reads the arguments of a call that came from elsewhere.</summary>
    public abstract Invocation Read(WireReader reader, in InvocationHeader header);

    public override string ToString() => Description;
}

internal sealed class GrainMethod<TArgs, TResult> : GrainMethod
{
    private readonly Lazy<ArgumentsCodec<TArgs>> _arguments;
    private readonly Lazy<Codec<TResult>?> _result;

    public GrainMethod(Type interfaceType, MethodInfo info, CodecProvider codecs)
        : base(interfaceType, info)
    {
        Invoke = CompileInvoke(info);
        _arguments = new(() => new ArgumentsCodec<TArgs>(info, codecs));
        bool shared = info.ReturnParameter.IsDefined(typeof(ImmutableAttribute), inherit: false);
        _result = new(() => typeof(TResult) == typeof(Nothing) ? null : codecs.Get<TResult>());
        ResultIsImmutable = shared;
    }

    public Func<object, TArgs, Task> Invoke { get; }

    public ArgumentsCodec<TArgs> Arguments => _arguments.Value;

    /// <summary>Null where there is no result.</summary>
    public Codec<TResult>? Result => _result.Value;

    private bool ResultIsImmutable { get; }

    public TResult CopyResult(TResult result) => Result is null || Result.IsShared || ResultIsImmutable ? result : Result.Copy(result);

    public override Invocation Read(WireReader reader, in InvocationHeader header) =>
        new Invocation<TArgs, TResult>(this, header, Arguments.Read(reader));

    private static Func<object, TArgs, Task> CompileInvoke(MethodInfo info)
    {
        ParameterExpression target = Expression.Parameter(typeof(object), "target");
        ParameterExpression args = Expression.Parameter(typeof(TArgs), "args");
        Expression call = Expression.Call(
            Expression.Convert(target, info.DeclaringType!), info, info.GetParameters().Select((_, index) => ArgumentTuple.Item(args, index)));
        Expression task =
            info.ReturnType == typeof(void) ? Expression.Block(call, Expression.Constant(Task.CompletedTask, typeof(Task)))
            : info.ReturnType.IsValueType ? Expression.Convert(Expression.Call(call, nameof(ValueTask.AsTask), null), typeof(Task))
            : Expression.Convert(call, typeof(Task));
        return Expression.Lambda<Func<object, TArgs, Task>>(task, target, args).Compile();
    }
}
