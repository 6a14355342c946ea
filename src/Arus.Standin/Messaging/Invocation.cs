using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>Something that takes turns on an activation: a request or a timer's tick.</summary>
internal abstract class WorkItem
{
    /// <summary>Runs between the turns of whatever else runs.</summary>
    public abstract bool Interleaves { get; }

    /// <summary>Runs together with others that only read.</summary>
    public virtual bool ReadOnly => false;

    public virtual bool KeepsAlive => true;

    public virtual Dictionary<string, object>? Context => null;

    /// <summary>Runs in a turn of <paramref name="grain"/>'s activation; never throws.</summary>
    public abstract Task RunAsync(object grain);
}

/// <summary>What travels with a request besides its arguments.</summary>
internal readonly struct InvocationHeader
{
    public required GrainId Target { get; init; }

    public required Reply Reply { get; init; }

    public required Dictionary<string, object>? Context { get; init; }

    /// <summary>By <see cref="Environment.TickCount64"/>: after it, nobody waits for the response.</summary>
    public required long Deadline { get; init; }

    /// <summary>How many silos have passed it on.</summary>
    public int Forwards { get; init; }

    /// <summary>The sender chose this silo for a new activation.</summary>
    public bool Placed { get; init; }
}

/// <summary>A request: a call of a method of a grain, a silo's service or an observer.</summary>
internal abstract class Invocation(in InvocationHeader header) : WorkItem
{
    public GrainId Target { get; } = header.Target;

    public Reply Reply { get; } = header.Reply;

    public sealed override Dictionary<string, object>? Context { get; } = header.Context;

    public long Deadline { get; } = header.Deadline;

    public int Forwards { get; set; } = header.Forwards;

    public bool Placed { get; set; } = header.Placed;

    public bool IsExpired => Environment.TickCount64 > Deadline;

    public abstract ulong MethodId { get; }

    /// <summary>The method's name, for messages.</summary>
    public abstract string Method { get; }

    public string Description => $"{Method} of {Target}";

    /// <summary>From here on the arguments are the callee's alone.</summary>
    public abstract void Isolate();

    public abstract void WriteArguments(WireWriter writer);

    /// <summary>Answers with an exception.</summary>
    public void Fail(Exception exception) => Reply.Fail(exception);
}

internal sealed class Invocation<TArgs, TResult>(GrainMethod<TArgs, TResult> method, in InvocationHeader header, TArgs arguments)
    : Invocation(header)
{
    private TArgs _arguments = arguments;

    public override bool Interleaves => method.AlwaysInterleave;

    public override bool ReadOnly => method.ReadOnly;

    public override ulong MethodId => method.Id;

    public override string Method => method.Description;

    public override void Isolate() => _arguments = method.Arguments.Copy(_arguments);

    public override void WriteArguments(WireWriter writer) => method.Arguments.Write(writer, _arguments);

    public override async Task RunAsync(object grain)
    {
        RequestContext.Import(Context);
        try
        {
            Task task = method.Invoke(grain, _arguments);
            await task;
            TResult result = typeof(TResult) == typeof(Nothing) ? default! : ((Task<TResult>)task).Result;
            Reply.Succeed(method, result);
        }
        catch (Exception exception)
        {
            if (exception is Storage.InconsistentStateException { IsSourceActivation: true } stale)
            {
                Forget(stale);
            }

            Fail(exception);
        }
    }

    /// <summary>An activation that lost against another writer holds an outdated state: the next call gets a new one.</summary>
    private static void Forget(Storage.InconsistentStateException stale)
    {
        stale.IsSourceActivation = false;
        RuntimeContext.Current?.Deactivate(
            new DeactivationReason(DeactivationReasonCode.ApplicationError, stale, "Its state is not the one in storage any more."));
    }
}

/// <summary>A request whose arguments have not been read: it may be passed on as it came.</summary>
internal sealed class RawInvocation(ulong methodId, in InvocationHeader header, ReadOnlyMemory<byte> arguments) : Invocation(header)
{
    public override bool Interleaves => false;

    public override ulong MethodId { get; } = methodId;

    public ReadOnlyMemory<byte> Arguments { get; } = arguments;

    public override string Method => $"method {MethodId:x16}";

    public override void Isolate()
    {
    }

    public override void WriteArguments(WireWriter writer) => writer.WriteBytes(Arguments.Span);

    public override Task RunAsync(object grain) => throw new InvalidOperationException("The arguments have not been read.");

    /// <summary>The request with its arguments read.</summary>
    /// <exception cref="OrleansMessageRejectionException">This process does not know the method.</exception>
    public Invocation Decode(RuntimeCore runtime)
    {
        GrainMethod method = runtime.Interfaces.Find(MethodId)
            ?? throw new OrleansMessageRejectionException($"No grain interface known here has the method that was called on {Target} (id {MethodId:x16}).");
        var reader = new WireReader();
        reader.Reset(Arguments, sliceable: true);
        return method.Read(reader, new InvocationHeader
        {
            Target = Target, Reply = Reply, Context = Context, Deadline = Deadline, Forwards = Forwards, Placed = Placed,
        });
    }
}
