using System.Net;
using Orleans.Runtime;

namespace Arus.Grains;

/// <inheritdoc cref="IClusterGrain"/>
internal sealed class ClusterGrain(
    [PersistentState("cluster", StorageNames.Metadata)] IPersistentState<ClusterState> state, BrokerMembership membership,
    ClusterIdentity identity)
    : Grain, IClusterGrain
{
    private ClusterDescription? _description;
    private object? _membershipToken;

    public async Task<ClusterDescription> RegisterBrokerAsync(BrokerRegistration registration)
    {
        BrokerRegistration? known = state.State.Brokers.Find(broker => broker.BrokerId == registration.BrokerId);
        if (membership.CountAlive(registration.BrokerId) > 1)
        {
            string where = known is null ? "" : $", at {string.Join(", ", known.Endpoints.Select(e => $"{e.Host}:{e.Port}"))}";
            throw new ArusException(
                ErrorCode.DuplicateBrokerRegistration, $"broker.id={registration.BrokerId} is in use by another live broker{where}.");
        }

        if (known is null || state.State.ClusterId.Length == 0 || !Same(known, registration))
        {
            ClusterState before = state.State;
            await WriteAsync(new ClusterState
            {
                ClusterId = before.ClusterId.Length > 0 ? before.ClusterId : identity.ClusterId ?? ClusterIdentity.NewId(),
                Brokers =
                [
                    .. before.Brokers.Where(broker => broker.BrokerId != registration.BrokerId).Append(registration)
                        .OrderBy(broker => broker.BrokerId),
                ],
            });
        }

        return Describe();
    }

    public async Task UnregisterBrokerAsync(int brokerId)
    {
        ClusterState before = state.State;
        if (!before.Brokers.Exists(broker => broker.BrokerId == brokerId))
            throw new ArusException(ErrorCode.BrokerIdNotRegistered, $"Broker {brokerId} is not registered.");

        if (membership.IsAlive(brokerId))
            throw new ArusException(ErrorCode.InvalidRequest, $"Broker {brokerId} is alive: drain it and stop it first.");

        await WriteAsync(new ClusterState
        {
            ClusterId = before.ClusterId, Brokers = before.Brokers.FindAll(broker => broker.BrokerId != brokerId),
        });
    }

    public Task<ClusterDescription> DescribeAsync() => Task.FromResult(Describe());

    public async Task<string[]> GetGatewaysAsync()
    {
        MembershipEntry[] silos = await GrainFactory.GetGrain<IManagementGrain>(0).GetDetailedHosts(onlyActive: true);
        return [.. silos.Where(silo => silo.ProxyPort > 0)
            .Select(silo => new IPEndPoint(silo.SiloAddress.Endpoint.Address, silo.ProxyPort).ToString())];
    }

    /// <summary>The old state comes back if the write fails, since descriptions are read from it.</summary>
    private async Task WriteAsync(ClusterState next)
    {
        ClusterState before = state.State;
        state.State = next;
        try
        {
            await state.WriteStateAsync();
        }
        catch
        {
            state.State = before;
            throw;
        }

        _description = null;
    }

    private ClusterDescription Describe()
    {
        object token = membership.Token;
        if (_description is null || !ReferenceEquals(token, _membershipToken))
        {
            BrokerRegistration[] alive = [.. state.State.Brokers.Where(broker => membership.IsAlive(broker.BrokerId))];
            _description = new ClusterDescription(state.State.ClusterId, alive.Length > 0 ? alive[0].BrokerId : -1, alive);
            _membershipToken = token;
        }

        return _description;
    }

    private static bool Same(BrokerRegistration a, BrokerRegistration b) =>
        a.SiloName == b.SiloName && a.Rack == b.Rack && a.Endpoints.AsSpan().SequenceEqual(b.Endpoints);
}

/// <summary>What is durable of the cluster.</summary>
[GenerateSerializer, Alias("arus.ClusterState")]
internal sealed class ClusterState
{
    /// <summary>Empty until the first broker registers.</summary>
    [Id(0)]
    public string ClusterId { get; set; } = "";

    [Id(1)]
    public List<BrokerRegistration> Brokers { get; set; } = [];
}
