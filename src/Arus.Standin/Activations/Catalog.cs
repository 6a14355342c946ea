using System.Collections.Concurrent;

namespace Orleans.Runtime;

/// <summary>The activations of one silo. Safe for concurrent use.</summary>
internal sealed class Catalog
{
    private readonly SiloRuntime _silo;
    private readonly ConcurrentDictionary<GrainId, Activation> _activations = new();
    private readonly ConcurrentDictionary<GrainId, StatelessWorkers> _workers = new();
    private readonly Dictionary<GrainType, GrainClass> _classes = [];

    public Catalog(SiloRuntime silo, IEnumerable<Type> classes)
    {
        _silo = silo;
        foreach (Type type in classes)
        {
            var grainClass = new GrainClass(type);
            if (!_classes.TryAdd(grainClass.GrainType, grainClass))
            {
                throw new OrleansConfigurationException(
                    $"Grain classes {type} and {_classes[grainClass.GrainType].Type} have the same grain type \"{grainClass.GrainType}\"; give one a [GrainType].");
            }
        }
    }

    public IEnumerable<GrainClass> Classes => _classes.Values;

    /// <summary>Those in the directory.</summary>
    public IEnumerable<Activation> Registered => _activations.Values;

    public IEnumerable<Activation> All => _activations.Values.Concat(_workers.Values.SelectMany(workers => workers.All));

    public GrainClass? FindClass(GrainType type) => _classes.GetValueOrDefault(type);

    public bool TryGet(GrainId id, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Activation? activation) =>
        _activations.TryGetValue(id, out activation);

    /// <summary>
    /// Gives work to the grain's activation here, making one if there is none. A stopped silo drops it: its connections and calls end,
    /// which is how whoever waits learns of it.
    /// </summary>
    public void Receive(GrainClass grainClass, Invocation invocation)
    {
        if (grainClass.Placement is StatelessWorkerPlacement placement)
        {
            _workers.GetOrAdd(invocation.Target, static (id, args) => new StatelessWorkers(args._silo, args.grainClass, id, args.placement.MaxLocal), (_silo, grainClass, placement))
                .Receive(invocation);
            return;
        }

        while (!_silo.IsStopped)
        {
            if (!_activations.TryGetValue(invocation.Target, out Activation? activation))
            {
                if (_silo.IsLeaving)
                {
                    _silo.Reroute(invocation);
                    return;
                }

                var created = new Activation(_silo, grainClass, invocation.Target);
                activation = _activations.GetOrAdd(invocation.Target, created);
                if (activation == created)
                {
                    created.Start();
                }
            }

            if (activation.TryReceive(invocation))
            {
                return;
            }

            // It has just gone; its place is free, or about to be.
            _activations.TryRemove(new KeyValuePair<GrainId, Activation>(activation.GrainId, activation));
        }
    }

    public void Remove(Activation activation)
    {
        if (_workers.TryGetValue(activation.GrainId, out StatelessWorkers? workers))
        {
            workers.Remove(activation);
        }
        else
        {
            _activations.TryRemove(new KeyValuePair<GrainId, Activation>(activation.GrainId, activation));
        }
    }

    /// <summary>Deactivates everything and waits for it.</summary>
    public async Task DeactivateAllAsync(CancellationToken cancellationToken)
    {
        // Some may have been on their way in when the silo began to leave.
        for (Activation[] all = [.. All]; all.Length > 0; all = [.. All])
        {
            foreach (Activation activation in all)
            {
                activation.Deactivate(new DeactivationReason(DeactivationReasonCode.ShuttingDown, "The silo is shutting down."), cancellationToken);
            }

            await Task.WhenAll(all.Select(activation => activation.Deactivated)).WaitAsync(cancellationToken);
        }
    }
}

/// <summary>The activations of one stateless worker on one silo.</summary>
internal sealed class StatelessWorkers(SiloRuntime silo, GrainClass grainClass, GrainId id, int max)
{
    private readonly List<Activation> _all = [];

    public IEnumerable<Activation> All
    {
        get
        {
            lock (_all)
            {
                return [.. _all];
            }
        }
    }

    /// <summary>Gives work to an idle worker, to a new one, or to the one with the least to do.</summary>
    public void Receive(Invocation invocation)
    {
        while (!silo.IsStopped)
        {
            Activation chosen;
            lock (_all)
            {
                Activation? least = _all.MinBy(worker => worker.Load);
                chosen = least is not null && (least.Load == 0 || _all.Count >= max) ? least : Add();
            }

            if (chosen.TryReceive(invocation))
            {
                return;
            }

            Remove(chosen);
        }
    }

    public void Remove(Activation worker)
    {
        lock (_all)
        {
            _all.Remove(worker);
        }
    }

    private Activation Add()
    {
        var worker = new Activation(silo, grainClass, id);
        _all.Add(worker);
        worker.Start();
        return worker;
    }
}
