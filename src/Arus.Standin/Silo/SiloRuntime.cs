using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace Orleans.Runtime;

/// <summary>A silo: what it consists of, and how it starts, stops and is killed.</summary>
internal sealed partial class SiloRuntime : RuntimeCore, ILocalSiloDetails, IDisposable
{
    private static readonly TimeSpan FlushLimit = TimeSpan.FromSeconds(2);

    private readonly EndpointOptions _endpoints;
    private readonly List<SocketListener> _listeners = [];
    private readonly LifecycleSubject _lifecycle = new();
    private readonly Dictionary<string, object> _services = [];
    private readonly MembershipAgent _agent;
    private readonly IdleCollector _collector;
    private readonly Lazy<GrainTypeResolver> _grainTypes;
    private readonly System.Collections.Concurrent.ConcurrentDictionary<SiloAddress, byte> _leaving = new();
    private volatile bool _stopped;
    private bool _started;

    public SiloRuntime(IServiceProvider services, ILogger<SiloRuntime> logger)
        : base(services, logger)
    {
        T Get<T>()
            where T : class => services.GetRequiredService<IOptions<T>>().Value;

        Messaging = Get<SiloMessagingOptions>();
        Collection = Get<GrainCollectionOptions>();
        ClusterId = Get<ClusterOptions>().ClusterId;
        _endpoints = Get<EndpointOptions>();
        Time = services.GetService<TimeProvider>() ?? TimeProvider.System;
        var endpoint = new IPEndPoint(_endpoints.AdvertisedIPAddress ?? IPAddress.Loopback, _endpoints.SiloPort);
        SiloAddress = SiloAddress.New(endpoint, SiloAddress.AllocateNewGeneration());
        GatewayAddress = _endpoints.GatewayPort == 0 ? null! : SiloAddress.New(endpoint.Address, _endpoints.GatewayPort, 0);
        string name = Get<SiloOptions>().SiloName;
        Name = string.IsNullOrEmpty(name) ? $"Silo_{Guid.NewGuid().ToString("N")[..5]}" : name;

        Membership = new ClusterMembershipService(SiloAddress, Name, logger);
        Catalog = new Catalog(this, GrainAssemblies.Classes);
        ClassEntries = [.. Catalog.Classes.Select(one => one.Entry)];
        _grainTypes = new(() => new GrainTypeResolver(ClassEntries));
        Connections = new SiloConnections(this, ClusterId);
        Membership.Changed += OnMembershipChanged;
        Directory = new GrainDirectory(this);
        Placement = new PlacementService(this);
        _agent = new MembershipAgent(this, Get<ClusterMembershipOptions>(), Get<DevelopmentClusterMembershipOptions>().PrimarySiloEndpoint);
        _collector = new IdleCollector(this, Collection);
        Membership.DeclaredDead += OnDeclaredDead;
        AddService<IMembershipService>(_agent);
        AddService<IDirectoryService>(Directory);
        AddService<ISiloControl>(new SiloControl(this, _collector));
    }

    public SiloAddress SiloAddress { get; }

    public SiloAddress GatewayAddress { get; }

    public string Name { get; }

    public string ClusterId { get; }

    public string DnsHostName => Dns.GetHostName();

    public TimeProvider Time { get; }

    public SiloMessagingOptions Messaging { get; }

    public GrainCollectionOptions Collection { get; }

    public ClusterMembershipService Membership { get; }

    public Catalog Catalog { get; }

    public GrainDirectory Directory { get; }

    public PlacementService Placement { get; }

    public SiloConnections Connections { get; }

    public GrainClassEntry[] ClassEntries { get; }

    /// <summary>No new work is taken; calls fail.</summary>
    public bool IsStopped => _stopped;

    /// <summary>No grain is activated here any more.</summary>
    public bool IsLeaving => Membership.CurrentStatus.IsTerminating();

    public override string ObserverHome => SiloAddress.ToParsableString();

    protected override TimeSpan ResponseTimeout => Messaging.ResponseTimeout;

    protected override TimeSpan SystemTimeout => Messaging.SystemResponseTimeout;

    protected override GrainTypeResolver GrainTypes => _grainTypes.Value;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        Validate();
        foreach (ILifecycleParticipant<ISiloLifecycle> participant in ServiceProvider.GetServices<ILifecycleParticipant<ISiloLifecycle>>())
        {
            participant.Participate(_lifecycle);
        }

        await _lifecycle.StartAsync(int.MinValue, ServiceLifecycleStage.BecomeActive - 1, cancellationToken);
        Listen(_endpoints.SiloListeningEndpoint ?? SiloAddress.Endpoint, Connections.OnSiloSocket);
        _started = true;
        await _agent.JoinAsync(cancellationToken);
        if (GatewayAddress is not null)
        {
            Listen(_endpoints.GatewayListeningEndpoint ?? GatewayAddress.Endpoint, Connections.OnGatewaySocket);
        }

        await _agent.BecomeActiveAsync();
        _collector.Start();
        await _lifecycle.StartAsync(ServiceLifecycleStage.BecomeActive, int.MaxValue, cancellationToken);
        LogStarted(Logger, Name, SiloAddress, ClusterId, GatewayAddress?.Endpoint.ToString() ?? "none");
    }

    /// <summary>Hands the grains over to the other silos and leaves the cluster.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_stopped || !_started)
        {
            Kill();
            return;
        }

        LogStopping(Logger, Name, SiloAddress);
        await _lifecycle.StopAsync(ServiceLifecycleStage.BecomeActive, LogParticipantFailed, cancellationToken);
        Connections.SayGoodbye();
        await _agent.SetStatusAsync(SiloStatus.ShuttingDown);
        _collector.Dispose();
        try
        {
            await Catalog.DeactivateAllAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            LogDeactivationCut(Logger);
        }

        // What clients have called through this gateway, and what was passed on, is still answered.
        await Calls.UntilNoneAsync(call => call is RelayedCall, FlushLimit);
        await Connections.FlushAsync(FlushLimit);
        await _agent.StopAsync();
        await _agent.SetStatusAsync(SiloStatus.Dead);
        await Connections.FinishAsync(FlushLimit);
        Kill();
        await _lifecycle.StopAsync(int.MinValue, LogParticipantFailed, cancellationToken);
    }

    /// <summary>Ends as a killed process does: connections break, nobody is told, no grain takes another turn.</summary>
    public void Kill()
    {
        if (_stopped)
        {
            return;
        }

        _stopped = true;
        _listeners.ForEach(listener => listener.Dispose());
        Activation[] all = [.. Catalog.All];

        // First the turns end, so that no grain sees its connections break; then the connections, so that nothing is answered
        // from the ruins.
        Array.ForEach(all, activation => activation.Halt());
        Connections.CloseAll("This silo has stopped.");
        Array.ForEach(all, activation => activation.Abandon());
        _agent.Dispose();
        _collector.Dispose();
        Calls.Dispose();
    }

    public void Dispose() => Kill();

    /// <summary>A service of a silo, called like a grain.</summary>
    public T GetSystemTarget<T>(SiloAddress silo)
        where T : IAddressable =>
        (T)(object)Interfaces.Get(typeof(T)).CreateReference(GrainId.Create(SystemTargetType, typeof(T).Name), silo);

    private void AddService<T>(T service)
        where T : IAddressable =>
        _services[typeof(T).Name] = service;

    private void Listen(IPEndPoint endpoint, Action<System.Net.Sockets.Socket> accepted)
    {
        var listener = new SocketListener(endpoint, accepted, Logger);
        _listeners.Add(listener);
        listener.Start();
    }

    private void Validate()
    {
        if (Collection.CollectionAge <= Collection.CollectionQuantum)
        {
            throw new OrleansConfigurationException(
                $"GrainCollectionOptions.CollectionAge ({Collection.CollectionAge}) must be greater than CollectionQuantum ({Collection.CollectionQuantum}).");
        }
    }

    private void OnMembershipChanged(ClusterMembershipSnapshot snapshot)
    {
        foreach (ClusterMember member in snapshot.Members.Values)
        {
            if (member.Status is SiloStatus.ShuttingDown or SiloStatus.Stopping)
            {
                _leaving.TryAdd(member.SiloAddress, 0);
            }
            else if (member.Status == SiloStatus.Dead && !member.SiloAddress.Equals(SiloAddress) && !_leaving.ContainsKey(member.SiloAddress))
            {
                // One that left properly closes its connections itself, when the last answers have gone out.
                Connections.Drop(member.SiloAddress, $"Silo {member.SiloAddress} was declared dead.");
            }
        }
    }

    private void OnDeclaredDead()
    {
        LogDeclaredDead(Logger, Name, SiloAddress);
        Kill();
        ServiceProvider.GetService<IHostApplicationLifetime>()?.StopApplication();
    }

    private void LogParticipantFailed(string participant, Exception exception) => LogStopFailed(Logger, participant, exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Silo {Name} ({Silo}) is active in cluster {ClusterId}; gateway: {Gateway}.")]
    private static partial void LogStarted(ILogger logger, string name, SiloAddress silo, string clusterId, string gateway);

    [LoggerMessage(Level = LogLevel.Information, Message = "Silo {Name} ({Silo}) is stopping.")]
    private static partial void LogStopping(ILogger logger, string name, SiloAddress silo);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Not all grains could be deactivated in the time given for stopping.")]
    private static partial void LogDeactivationCut(ILogger logger);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The other silos have declared silo {Name} ({Silo}) dead; it stops at once, since its grains may be active elsewhere.")]
    private static partial void LogDeclaredDead(ILogger logger, string name, SiloAddress silo);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Participant} failed to stop.")]
    private static partial void LogStopFailed(ILogger logger, string participant, Exception exception);
}
