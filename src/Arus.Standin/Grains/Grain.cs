using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime;

namespace Orleans;

/// <summary>Base of grain classes. Its members are for the grain's own turns only.</summary>
public abstract class Grain : IGrainBase, IAddressable
{
    protected Grain() => GrainContext = RuntimeContext.Current!;

    protected Grain(IGrainContext grainContext) => GrainContext = grainContext;

    public IGrainContext GrainContext { get; }

    public GrainReference GrainReference => GrainContext.GrainReference;

    /// <summary>The silo, in text.</summary>
    public string RuntimeIdentity => ServiceProvider.GetRequiredService<ILocalSiloDetails>().SiloAddress.ToString();

    public string IdentityString => GrainContext.GrainId.ToString();

    protected IGrainFactory GrainFactory => ServiceProvider.GetRequiredService<IGrainFactory>();

    protected internal IServiceProvider ServiceProvider => GrainContext.ActivationServices;

    public virtual Task OnActivateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public virtual Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Ends this activation when its running requests have ended.</summary>
    protected void DeactivateOnIdle() => ((IGrainBase)this).DeactivateOnIdle();

    /// <summary>Keeps this activation from being collected for that long; a negative or zero span takes it back.</summary>
    protected void DelayDeactivation(TimeSpan timeSpan) => ((Activation)GrainContext).DelayDeactivation(timeSpan);
}
