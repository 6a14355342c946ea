namespace Orleans.Runtime;

/// <summary>Observers by stage. Subscribing is for the time before start; start and stop are each called once, by one caller.</summary>
internal sealed class LifecycleSubject : ISiloLifecycle, IGrainLifecycle
{
    private readonly List<Subscription> _subscriptions = [];
    private readonly List<Subscription> _started = [];

    public int HighestCompletedStage { get; private set; } = int.MinValue;

    public int LowestStoppedStage { get; private set; } = int.MaxValue;

    public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
    {
        ArgumentNullException.ThrowIfNull(observer);
        var subscription = new Subscription(this, observerName, stage, observer);
        lock (_subscriptions)
        {
            _subscriptions.Add(subscription);
        }

        return subscription;
    }

    /// <summary>Starts the stages from <paramref name="first"/> to <paramref name="last"/>, both included.</summary>
    public async Task StartAsync(int first, int last, CancellationToken cancellationToken)
    {
        foreach (IGrouping<int, Subscription> stage in ByStage().Where(group => group.Key >= first && group.Key <= last))
        {
            cancellationToken.ThrowIfCancellationRequested();
            _started.AddRange(stage);
            await Task.WhenAll(stage.Select(subscription => subscription.Observer.OnStart(cancellationToken)));
            HighestCompletedStage = stage.Key;
        }
    }

    /// <summary>Stops what was started, from the highest stage down to <paramref name="downTo"/>; reports failures and goes on.</summary>
    public async Task StopAsync(int downTo, Action<string, Exception> failed, CancellationToken cancellationToken)
    {
        foreach (IGrouping<int, Subscription> stage in _started.Where(one => one.Stage >= downTo).GroupBy(one => one.Stage).OrderByDescending(group => group.Key).ToArray())
        {
            await Task.WhenAll(stage.Select(subscription => StopOneAsync(subscription, failed, cancellationToken)));
            LowestStoppedStage = stage.Key;
        }

        _started.RemoveAll(one => one.Stage >= downTo);
    }

    private static async Task StopOneAsync(Subscription subscription, Action<string, Exception> failed, CancellationToken cancellationToken)
    {
        try
        {
            await subscription.Observer.OnStop(cancellationToken);
        }
        catch (Exception exception)
        {
            failed(subscription.Name, exception);
        }
    }

    private IGrouping<int, Subscription>[] ByStage()
    {
        lock (_subscriptions)
        {
            return [.. _subscriptions.GroupBy(subscription => subscription.Stage).OrderBy(group => group.Key)];
        }
    }

    private sealed class Subscription(LifecycleSubject subject, string name, int stage, ILifecycleObserver observer) : IDisposable
    {
        public string Name { get; } = name;

        public int Stage { get; } = stage;

        public ILifecycleObserver Observer { get; } = observer;

        public void Dispose()
        {
            lock (subject._subscriptions)
            {
                subject._subscriptions.Remove(this);
            }
        }
    }
}
