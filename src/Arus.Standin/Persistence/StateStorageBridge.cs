using Orleans.Runtime;
using Orleans.Serialization;
using Orleans.Storage;

namespace Orleans.Core;

/// <summary>
/// Connects one state of an activation with its provider. Operations run one after the other, in the order in which they were
/// asked for; writes that wait for the same predecessor become one. Used on the activation's turns only.
/// </summary>
public class StateStorageBridge<TState> : IStorage<TState>
{
    private readonly string _name;
    private readonly IGrainContext _context;
    private readonly IGrainStorage _storage;
    private readonly GrainState<TState> _state = new(EmptyState.Create<TState>());
    private Operation? _last;
    private bool _loaded;

    public StateStorageBridge(string name, IGrainContext grainContext, IGrainStorage store)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(grainContext);
        ArgumentNullException.ThrowIfNull(store);
        _name = name;
        _context = grainContext;
        _storage = store;
    }

    private delegate Task StorageCall(string stateName, GrainId grainId, IGrainState<TState> state);

    private enum Kind
    {
        Read,
        Write,
        Clear,
    }

    public TState State
    {
        get
        {
            CheckContext();
            return _state.State!;
        }

        set
        {
            CheckContext();
            _state.State = value;
        }
    }

    public string? Etag
    {
        get => _state.ETag;
        set => _state.ETag = value;
    }

    public bool RecordExists => _loaded ? _state.RecordExists : throw new InvalidOperationException("State has not yet been loaded");

    public Task ReadStateAsync() => Enqueue(Kind.Read, _storage.ReadStateAsync);

    public Task WriteStateAsync() => Enqueue(Kind.Write, _storage.WriteStateAsync);

    public Task ClearStateAsync() => Enqueue(Kind.Clear, _storage.ClearStateAsync);

    private static void CheckContext()
    {
        if (RuntimeContext.Current is null)
        {
            throw new InvalidOperationException("Activation access violation. A non-activation thread attempted to access activation services.");
        }
    }

    private Task Enqueue(Kind kind, StorageCall call)
    {
        CheckContext();
        if (kind != Kind.Read && _last is { Started: false } waiting && waiting.Kind == kind)
        {
            return waiting.Completion;
        }

        var operation = new Operation(kind);
        Task? before = _last?.Completion;
        _last = operation;
        operation.Completion = Run(operation, before, call);
        return operation.Completion;
    }

    private async Task Run(Operation operation, Task? before, StorageCall call)
    {
        if (before is { IsCompleted: false })
        {
            await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
        }

        operation.Started = true;
        try
        {
            await call(_name, _context.GrainId, _state);
        }
        catch (Exception exception) when (exception is not OrleansException)
        {
            // As Orleans does: callers of a grain see its own exceptions bare and a provider's in this wrapper.
            throw new OrleansException(
                $"Error from storage provider {_storage.GetType().Name}.{_name} during {operation.Kind} for grain {_context.GrainId}: {exception.Message}",
                exception);
        }

        if (operation.Kind == Kind.Read)
        {
            _loaded = true;
        }
    }

    private sealed class Operation(Kind kind)
    {
        public Kind Kind { get; } = kind;

        public bool Started { get; set; }

        public Task Completion { get; set; } = Task.CompletedTask;
    }
}

/// <summary>The state that a grain sees when storage has none for it.</summary>
internal static class EmptyState
{
    public static T Create<T>()
    {
        Type type = typeof(T);
        bool hasNone = type.IsValueType || type == typeof(string) || type.IsArray || type.IsAbstract || type.IsInterface;
        return hasNone ? default! : Cache<T>.Create();
    }

    private static class Cache<T>
    {
        public static readonly Func<T> Create = MemberEmitter<T>.EmitCreate();
    }
}
