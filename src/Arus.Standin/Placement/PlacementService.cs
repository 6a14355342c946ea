using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime.Placement;

namespace Orleans.Runtime;

/// <summary>Chooses silos for new activations. All silos are taken to run the same build, so every active one is compatible.</summary>
internal sealed class PlacementService(SiloRuntime silo) : IPlacementContext
{
    public SiloAddress LocalSilo => silo.SiloAddress;

    public SiloStatus LocalSiloStatus => silo.Membership.CurrentStatus;

    public SiloAddress[] GetCompatibleSilos(PlacementTarget target) =>
        silo.Membership.GetActiveSilos() is { Length: > 0 } silos ? silos : throw new OrleansException($"No silo is active that could host {target.GrainIdentity}.");

    public async Task<SiloAddress> PlaceAsync(GrainClass grainClass, Invocation invocation)
    {
        PlacementStrategy strategy = grainClass.Placement;
        var target = new PlacementTarget(invocation.Target, invocation.Context ?? [], default, 0);
        SiloAddress[] silos = GetCompatibleSilos(target);
        if (IPlacementDirector.GetPlacementHint(invocation.Context, silos) is { } hint)
        {
            return hint;
        }

        switch (strategy)
        {
            case RandomPlacement:
                return silos[Random.Shared.Next(silos.Length)];
            case PreferLocalPlacement:
                return silos.Contains(LocalSilo) ? LocalSilo : silos[Random.Shared.Next(silos.Length)];
            case HashBasedPlacement:
                return silos[invocation.Target.GetUniformHashCode() % (uint)silos.Length];
            default:
                IPlacementDirector director = silo.ServiceProvider.GetKeyedService<IPlacementDirector>(strategy.GetType())
                    ?? throw new OrleansConfigurationException($"No placement director is registered for {strategy.GetType()}; call AddPlacementDirector.");
                return await director.OnAddActivation(strategy, target, this);
        }
    }
}
