namespace Orleans.Runtime;

/// <summary>What silos ask one another besides membership and directory.</summary>
internal interface ISiloControl : IAddressable
{
    [Alias("has-client")]
    Task<bool> HasClientAsync(string clientId);

    [Alias("count")]
    Task<int> CountActivationsAsync();

    [Alias("collect")]
    Task CollectAsync(TimeSpan age);
}

internal sealed class SiloControl(SiloRuntime silo, IdleCollector collector) : ISiloControl
{
    public Task<bool> HasClientAsync(string clientId) => Task.FromResult(silo.Connections.TryGetClient(clientId, out _));

    public Task<int> CountActivationsAsync() => Task.FromResult(silo.Catalog.All.Count());

    public Task CollectAsync(TimeSpan age)
    {
        collector.Collect(age);
        return Task.CompletedTask;
    }
}

/// <inheritdoc cref="IManagementGrain"/>
[Concurrency.StatelessWorker, GrainType("sys.management")]
internal sealed class ManagementGrain(SiloRuntime silo) : Grain, IManagementGrain
{
    public Task<Dictionary<SiloAddress, SiloStatus>> GetHosts(bool onlyActive = false) =>
        Task.FromResult(silo.Membership.GetApproximateSiloStatuses(onlyActive));

    public async Task<int> GetTotalActivationCount() =>
        (await Task.WhenAll(silo.Membership.GetActiveSilos().Select(one => silo.GetSystemTarget<ISiloControl>(one).CountActivationsAsync()))).Sum();

    public Task ForceActivationCollection(TimeSpan ageLimit) =>
        Task.WhenAll(silo.Membership.GetActiveSilos().Select(one => silo.GetSystemTarget<ISiloControl>(one).CollectAsync(ageLimit)));

    public async ValueTask<SiloAddress?> GetActivationAddress(IAddressable reference) =>
        (await silo.Directory.LookupAsync(reference.GetGrainId()))?.SiloAddress;
}
