namespace Orleans.Runtime;

internal abstract class Activation : IGrainContext
{
    public abstract IReferenceRuntime Runtime { get; }
    public abstract GrainReference GrainReference { get; }
    public abstract GrainId GrainId { get; }
    public abstract object? GrainInstance { get; }
    public abstract ActivationId ActivationId { get; }
    public abstract GrainAddress Address { get; }
    public abstract IServiceProvider ActivationServices { get; }
    public abstract IGrainLifecycle ObservableLifecycle { get; }
    public abstract Task Deactivated { get; }
    public abstract void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default);
    public abstract void DelayDeactivation(TimeSpan timeSpan);
    public abstract IGrainTimer RegisterTimer<TState>(Func<TState, CancellationToken, Task> callback, TState state, GrainTimerCreationOptions options);
    public bool Equals(IGrainContext? other) => ReferenceEquals(this, other);
}
