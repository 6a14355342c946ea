using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>What a silo and a client have in common: references, calls that wait for answers, observers. Safe for concurrent use.</summary>
internal abstract partial class RuntimeCore : IClusterClient, IReferenceConverter
{
    private readonly NoReply _noReply;
    private readonly Lazy<Codec<Exception?>> _exceptions;
    private readonly Lazy<Codec<Dictionary<string, object>?>> _contexts;

    protected RuntimeCore(IServiceProvider services, ILogger logger)
    {
        ServiceProvider = services;
        Logger = logger;
        _noReply = new NoReply(logger);
        Codecs = services.GetRequiredService<CodecProvider>();
        Interfaces = new InterfaceRegistry(this, Codecs);
        Observers = new ObserverTable(this);
        _exceptions = new(() => Codecs.Get<Exception?>());
        _contexts = new(() => Codecs.Get<Dictionary<string, object>?>());
    }

    public IServiceProvider ServiceProvider { get; }

    public CodecProvider Codecs { get; }

    public InterfaceRegistry Interfaces { get; }

    public CallTable Calls { get; } = new();

    public ObserverTable Observers { get; }

    public ILogger Logger { get; }

    /// <summary>Of calls whose method says nothing else.</summary>
    protected abstract TimeSpan ResponseTimeout { get; }

    /// <summary>Where the grain class that implements an interface is known by name.</summary>
    protected abstract GrainTypeResolver GrainTypes { get; }

    /// <summary>Calls a method of what the reference stands for.</summary>
    public Task<TResult> Call<TArgs, TResult>(GrainReference reference, GrainMethod<TArgs, TResult> method, TArgs args)
    {
        long timeout = (long)(method.ResponseTimeout ?? (reference.FixedSilo is null ? ResponseTimeout : SystemTimeout)).TotalMilliseconds;
        PendingCall<TArgs, TResult>? pending = null;
        if (!method.OneWay)
        {
            pending = new PendingCall<TArgs, TResult>(Calls, method, reference.GrainId, timeout);
            Calls.Add(pending);
        }

        var invocation = new Invocation<TArgs, TResult>(
            method,
            new InvocationHeader
            {
                Target = reference.GrainId,
                Reply = (Reply?)pending ?? _noReply,
                Context = reference.FixedSilo is null ? RequestContext.Export() : null,
                Deadline = pending?.Deadline ?? Environment.TickCount64 + timeout,
            },
            args);
        try
        {
            Dispatch(reference, invocation);
        }
        catch (Exception exception)
        {
            invocation.Fail(exception);
        }

        return pending?.Task ?? Task.FromResult<TResult>(default!);
    }

    /// <summary>Brings a request on its way; whatever goes wrong later is answered to the request.</summary>
    protected abstract void Dispatch(GrainReference reference, Invocation invocation);

    protected virtual TimeSpan SystemTimeout => ResponseTimeout;

    /// <summary>The identity under which observers of this process are found.</summary>
    public abstract string ObserverHome { get; }

    public Exception ReadException(WireReader reader) =>
        _exceptions.Value.Read(reader) ?? new OrleansException("The call failed without saying why.");

    public void WriteException(WireWriter writer, Exception exception)
    {
        int start = writer.Length;
        try
        {
            _exceptions.Value.Write(writer, exception);
        }
        catch (Exception unserializable)
        {
            writer.Truncate(start);
            _exceptions.Value.Write(writer, new OrleansException($"{exception.GetType()}: {exception.Message} (It cannot be serialized: {unserializable.Message})"));
        }
    }

    /// <summary>Writes a request as a frame's contents.</summary>
    public void WriteRequest(WireWriter writer, Invocation invocation, long callId)
    {
        int flags = (invocation.Placed ? Frame.PlacedFlag : 0)
            | (invocation.Context is not null ? Frame.ContextFlag : 0)
            | (invocation.Reply is NoReply ? Frame.OneWayFlag : 0)
            | (Math.Min(invocation.Forwards, Frame.MaxForwards) << Frame.ForwardsShift);
        writer.WriteByte((byte)flags);
        writer.WriteVarUInt64((ulong)callId);
        writer.WriteInt64((long)invocation.MethodId);
        writer.WriteBlock(invocation.Target.Type.AsSpan());
        writer.WriteBlock(invocation.Target.Key.AsSpan());
        writer.WriteVarUInt64((ulong)Math.Max(0, invocation.Deadline - Environment.TickCount64));
        if (invocation.Context is not null)
        {
            _contexts.Value.Write(writer, invocation.Context);
        }

        invocation.WriteArguments(writer);
    }

    /// <summary>Reads what <see cref="WriteRequest"/> wrote, up to the arguments.</summary>
    public ulong ReadRequest(WireReader reader, Connection connection, out InvocationHeader header)
    {
        byte flags = reader.ReadByte();
        long callId = (long)reader.ReadVarUInt64();
        ulong method = (ulong)reader.ReadInt64();
        var target = new GrainId(new GrainType(GrainTypeNames.Get(reader.ReadBytes(reader.ReadCount(1)))), new IdSpan(reader.ReadBlock()));
        long timeout = (long)Math.Min(reader.ReadVarUInt64(), int.MaxValue);
        header = new InvocationHeader
        {
            Target = target,
            Reply = (flags & Frame.OneWayFlag) != 0 ? _noReply : new RemoteReply(this, connection, callId),
            Context = (flags & Frame.ContextFlag) != 0 ? _contexts.Value.Read(reader) : null,
            Deadline = Environment.TickCount64 + timeout,
            Forwards = flags >> Frame.ForwardsShift,
            Placed = (flags & Frame.PlacedFlag) != 0,
        };
        return method;
    }

    /// <summary>Gives an answer from the wire to the call that waits for it.</summary>
    public void OnResponse(WireReader reader)
    {
        long callId = (long)reader.ReadVarUInt64();
        byte status = reader.ReadByte();
        if (Calls.Take(callId) is not { } call)
        {
            return;
        }

        if ((status & Frame.MovedFlag) != 0)
        {
            OnMoved(call.Target);
        }

        call.Complete((byte)(status & ~Frame.MovedFlag), reader, this);
    }

    /// <summary>A grain is not where it was called.</summary>
    protected virtual void OnMoved(GrainId grainId)
    {
    }

    public void FailCallsOver(Connection connection, Exception reason)
    {
        string who = connection.RemoteSilo?.ToString() ?? "the gateway";
        Calls.Fail(
            call => call.Via == connection,
            call => new SiloUnavailableException($"The connection to {who} broke before {call.Description} was answered: {reason.Message}", reason));
    }

    public void LogUndeliverable(long callId, Exception reason) => LogUndeliverable(Logger, callId, reason.Message);

    GrainId IReferenceConverter.GetIdentity(object reference, Type interfaceType) => reference switch
    {
        GrainReference known => known.GrainId,
        IGrainBase { GrainContext: { } context } => context.GrainId,
        IGrainObserver => throw new SerializerException($"A {reference.GetType()} cannot be passed as it is: pass what IGrainFactory.CreateObjectReference answers for it."),
        _ => throw new SerializerException($"A {reference.GetType()} is no grain reference."),
    };

    object IReferenceConverter.CreateReference(GrainId id, Type interfaceType) => GetReference(id, interfaceType);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The answer to call {CallId} cannot be delivered: {Reason}")]
    private static partial void LogUndeliverable(ILogger logger, long callId, string reason);
}

/// <summary>The few names of grain types are kept, so that a request need not allocate its own.</summary>
internal static class GrainTypeNames
{
    private const int Max = 4096;
    private static readonly System.Collections.Concurrent.ConcurrentDictionary<ulong, IdSpan> Known = new();

    public static IdSpan Get(ReadOnlySpan<byte> name)
    {
        ulong hash = StableHash.Of64(name);
        if (Known.TryGetValue(hash, out IdSpan known) && known.AsSpan().SequenceEqual(name))
        {
            return known;
        }

        var span = new IdSpan(name.ToArray());
        if (Known.Count < Max)
        {
            Known.TryAdd(hash, span);
        }

        return span;
    }
}
