namespace Orleans
{
    public interface ILifecycleObserver
    {
        Task OnStart(CancellationToken cancellationToken = default);

        Task OnStop(CancellationToken cancellationToken = default);
    }

    /// <summary>Stages run upwards at start and downwards at stop; the observers of one stage run together.</summary>
    public interface ILifecycleObservable
    {
        IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer);
    }

    /// <summary>A service that takes part in a lifecycle; register it as this interface.</summary>
    public interface ILifecycleParticipant<TLifecycleObservable>
        where TLifecycleObservable : ILifecycleObservable
    {
        void Participate(TLifecycleObservable lifecycle);
    }

    public static class ServiceLifecycleStage
    {
        public const int First = int.MinValue;
        public const int RuntimeInitialize = 2000;
        public const int RuntimeServices = 4000;
        public const int RuntimeStorageServices = 6000;
        public const int RuntimeGrainServices = 8000;
        public const int AfterRuntimeGrainServices = 8100;
        public const int ApplicationServices = 10000;
        public const int GrainDeactivation = 19998;
        public const int BecomeActive = 19999;
        public const int Active = 20000;
        public const int Last = int.MaxValue;
    }

    public static class LifecycleExtensions
    {
        public static IDisposable Subscribe(this ILifecycleObservable observable, string observerName, int stage, Func<CancellationToken, Task> onStart) =>
            observable.Subscribe(observerName, stage, new Observer(onStart, null));

        public static IDisposable Subscribe(
            this ILifecycleObservable observable, string observerName, int stage, Func<CancellationToken, Task> onStart, Func<CancellationToken, Task>? onStop) =>
            observable.Subscribe(observerName, stage, new Observer(onStart, onStop));

        public static IDisposable Subscribe<TObserver>(
            this ILifecycleObservable observable, int stage, Func<CancellationToken, Task> onStart, Func<CancellationToken, Task>? onStop) =>
            observable.Subscribe(typeof(TObserver).FullName!, stage, new Observer(onStart, onStop));

        public static IDisposable Subscribe<TObserver>(this ILifecycleObservable observable, int stage, Func<CancellationToken, Task> onStart) =>
            observable.Subscribe<TObserver>(stage, onStart, null);

        private sealed class Observer(Func<CancellationToken, Task> onStart, Func<CancellationToken, Task>? onStop) : ILifecycleObserver
        {
            public Task OnStart(CancellationToken cancellationToken) => onStart(cancellationToken);

            public Task OnStop(CancellationToken cancellationToken) => onStop?.Invoke(cancellationToken) ?? Task.CompletedTask;
        }
    }
}

namespace Orleans.Runtime
{
    public interface ISiloLifecycle : ILifecycleObservable
    {
        int HighestCompletedStage { get; }

        int LowestStoppedStage { get; }
    }

    /// <summary>Runs once when the silo has become active, before the host's start completes.</summary>
    public interface IStartupTask
    {
        Task Execute(CancellationToken cancellationToken);
    }
}
