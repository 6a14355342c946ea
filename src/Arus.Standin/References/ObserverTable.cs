using System.Collections.Concurrent;

namespace Orleans.Runtime;

/// <summary>The objects of this process that grains can call. Held weakly: who made a reference keeps the object alive.</summary>
internal sealed class ObserverTable(RuntimeCore runtime)
{
    public static readonly GrainType Type = GrainType.Create("sys.observer");

    private readonly ConcurrentDictionary<GrainId, Observer> _observers = new();

    /// <summary>The id under which the object can be called: the process's name, then a number.</summary>
    public GrainId Add(IGrainObserver target)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (target is GrainReference or Grain)
        {
            throw new ArgumentException("An observer is an object of this process that is no grain and no reference.", nameof(target));
        }

        GrainId id = GrainId.Create(Type, $"{runtime.ObserverHome}/{Guid.NewGuid():N}");
        _observers[id] = new Observer(target);
        return id;
    }

    public void Remove(GrainId id) => _observers.TryRemove(id, out _);

    public static string HomeOf(GrainId id)
    {
        string key = id.Key.ToString();
        return key[..Math.Max(0, key.LastIndexOf('/'))];
    }

    /// <summary>Calls the object; one call at a time for each object.</summary>
    public void Invoke(Invocation invocation)
    {
        if (!_observers.TryGetValue(invocation.Target, out Observer? observer) || !observer.TryRun(invocation, runtime))
        {
            _observers.TryRemove(invocation.Target, out _);
            invocation.Fail(new ClientNotAvailableException($"Observer {invocation.Target} does not exist any more."));
        }
    }

    private sealed class Observer(IGrainObserver target)
    {
        private readonly WeakReference<IGrainObserver> _target = new(target);
        private Task _last = Task.CompletedTask;

        public bool TryRun(Invocation invocation, RuntimeCore runtime)
        {
            if (!_target.TryGetTarget(out IGrainObserver? target))
            {
                return false;
            }

            lock (_target)
            {
                _last = invocation.Interleaves ? Task.Run(() => RunAsync(invocation, target, runtime)) : AfterAsync(_last, invocation, target, runtime);
            }

            return true;
        }

        private static async Task AfterAsync(Task last, Invocation invocation, IGrainObserver target, RuntimeCore runtime)
        {
            await last.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            await RunAsync(invocation, target, runtime);
        }

        private static async Task RunAsync(Invocation invocation, IGrainObserver target, RuntimeCore runtime)
        {
            try
            {
                Invocation readable = invocation is RawInvocation raw ? raw.Decode(runtime) : invocation;
                await readable.RunAsync(target);
            }
            catch (Exception exception)
            {
                invocation.Fail(exception);
            }
        }
    }
}
