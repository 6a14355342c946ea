namespace Orleans
{
    /// <summary>Base of grain interfaces. Methods return <see cref="Task"/>, <see cref="Task{TResult}"/> or their value-task kin.</summary>
    public interface IGrain : IAddressable;

    public interface IGrainWithStringKey : IGrain;

    public interface IGrainWithIntegerKey : IGrain;

    public interface IGrainWithGuidKey : IGrain;

    public interface IGrainWithIntegerCompoundKey : IGrain;

    public interface IGrainWithGuidCompoundKey : IGrain;

    /// <summary>Base of interfaces through which grains call back to clients; see <see cref="IGrainFactory.CreateObjectReference{T}"/>.</summary>
    public interface IGrainObserver : IAddressable;

    /// <summary>What the runtime asks of a grain class.</summary>
    public interface IGrainBase
    {
        IGrainContext GrainContext { get; }

        /// <summary>Runs before the first request. If it throws, the callers waiting get the exception and the activation is dropped.</summary>
        Task OnActivateAsync(CancellationToken token) => Task.CompletedTask;

        /// <summary>Runs after the last request; not when the silo is killed.</summary>
        Task OnDeactivateAsync(DeactivationReason reason, CancellationToken token) => Task.CompletedTask;
    }

    /// <summary>Why an activation goes.</summary>
    public enum DeactivationReasonCode : byte
    {
        None = 0,
        ShuttingDown = 1,
        ActivationFailed = 2,
        DirectoryFailure = 3,
        ActivationIdle = 4,
        ActivationUnresponsive = 5,
        DuplicateActivation = 6,
        IncompatibleRequest = 7,
        ApplicationError = 8,
        ApplicationRequested = 9,
        Migrating = 10,
        RuntimeRequested = 11,
        HighMemoryPressure = 12,
    }

    public readonly struct DeactivationReason(DeactivationReasonCode code, Exception? exception, string text)
    {
        public DeactivationReason(DeactivationReasonCode code, string text)
            : this(code, null, text)
        {
        }

        public DeactivationReasonCode ReasonCode { get; } = code;

        public string Description { get; } = text;

        public Exception? Exception { get; } = exception;

        public override string ToString() => Exception is null ? $"{ReasonCode}: {Description}" : $"{ReasonCode}: {Description}. Exception: {Exception}";
    }
}

namespace Orleans.Runtime
{
    /// <summary>Something that can be called through a reference.</summary>
    public interface IAddressable;

    /// <summary>Runs from registration to disposal on the turns of its activation.</summary>
    public interface IGrainTimer : IDisposable
    {
        /// <summary>Sets when the next tick is due, and the time from the end of a tick to the next.</summary>
        void Change(TimeSpan dueTime, TimeSpan period);
    }

    /// <summary>When a timer ticks, and how its ticks stand to the activation's requests.</summary>
    public readonly struct GrainTimerCreationOptions
    {
        public GrainTimerCreationOptions()
        {
        }

        [System.Diagnostics.CodeAnalysis.SetsRequiredMembers]
        public GrainTimerCreationOptions(TimeSpan dueTime, TimeSpan period) => (DueTime, Period) = (dueTime, period);

        /// <summary>Time to the first tick; <see cref="Timeout.InfiniteTimeSpan"/> for none.</summary>
        public required TimeSpan DueTime { get; init; }

        /// <summary>Time from the end of a tick to the next; <see cref="Timeout.InfiniteTimeSpan"/> for a single one.</summary>
        public required TimeSpan Period { get; init; }

        /// <summary>Whether ticks run between the turns of requests, instead of waiting their turn like a request.</summary>
        public bool Interleave { get; init; }

        /// <summary>Whether ticks keep the activation from being idle.</summary>
        public bool KeepAlive { get; init; }
    }

    /// <summary>The activation that a grain object lives in.</summary>
    public interface IGrainContext : IEquatable<IGrainContext>
    {
        GrainReference GrainReference { get; }

        GrainId GrainId { get; }

        object? GrainInstance { get; }

        ActivationId ActivationId { get; }

        GrainAddress Address { get; }

        /// <summary>A scope of its own for each activation.</summary>
        IServiceProvider ActivationServices { get; }

        /// <summary>Where facets such as persistent state take part in activation; see <see cref="GrainLifecycleStage"/>.</summary>
        IGrainLifecycle ObservableLifecycle { get; }

        /// <summary>Completes when the activation is gone.</summary>
        Task Deactivated { get; }

        /// <summary>Starts deactivation: no new request starts, running ones end, <c>OnDeactivateAsync</c> runs.</summary>
        void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default);
    }

    public interface IGrainContextAccessor
    {
        /// <summary>The activation whose turn is running, or null outside of turns.</summary>
        IGrainContext GrainContext { get; }
    }

    public interface IGrainLifecycle : ILifecycleObservable;

    public static class GrainLifecycleStage
    {
        public const int First = int.MinValue;
        public const int SetupState = 1000;
        public const int Activate = 2000;
        public const int Last = int.MaxValue;
    }
}
