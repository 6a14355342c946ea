using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Runtime.Messaging;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>
/// A client of a cluster. It keeps a connection to each gateway that it knows and can reach; a grain is called through the gateway
/// that its id hashes to, so that a gateway's loss moves only its share. Calls in flight through it fail.
/// </summary>
internal sealed partial class ClientRuntime : RuntimeCore, IFrameHandler, IDisposable
{
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ReconnectDelay = TimeSpan.FromMilliseconds(500);

    private readonly ClientMessagingOptions _messaging;
    private readonly string _clusterId;
    private readonly IPEndPoint[] _gateways;
    private readonly string _id = $"client-{Guid.NewGuid():N}";
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly Dictionary<IPEndPoint, Connection> _byEndpoint = [];
    private volatile Connection[] _connections = [];
    private volatile GrainTypeResolver? _grainTypes;

    public ClientRuntime(IServiceProvider services, ILogger<ClientRuntime> logger)
        : base(services, logger)
    {
        _messaging = services.GetRequiredService<IOptions<ClientMessagingOptions>>().Value;
        _clusterId = services.GetRequiredService<IOptions<ClusterOptions>>().Value.ClusterId;
        _gateways = [.. services.GetRequiredService<IOptions<StaticGatewayListProviderOptions>>().Value.Gateways.Select(ToEndpoint).Distinct()];
    }

    public override string ObserverHome => _id;

    protected override TimeSpan ResponseTimeout => _messaging.ResponseTimeout;

    protected override GrainTypeResolver GrainTypes =>
        _grainTypes ?? throw new InvalidOperationException("The client is not connected; start its host first.");

    private int MaxFrame => (int)Math.Min((long)_messaging.MaxMessageBodySize + _messaging.MaxMessageHeaderSize, int.MaxValue / 2);

    /// <summary>Connects to at least one gateway.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (_gateways.Length == 0)
        {
            throw new OrleansConfigurationException("The client knows no gateway; call UseLocalhostClustering or UseStaticClustering.");
        }

        var filter = ServiceProvider.GetService<IClientConnectionRetryFilter>();
        while (true)
        {
            Exception[] failures = [.. (await Task.WhenAll(_gateways.Select(TryConnectAsync))).OfType<Exception>()];
            if (_connections.Length > 0)
            {
                break;
            }

            Exception failure = failures.OfType<OrleansConfigurationException>().FirstOrDefault() as Exception
                ?? new ConnectionFailedException($"Unable to connect to any of the {_gateways.Length} gateways: {string.Join("; ", failures.Select(one => one.Message))}", failures[0]);
            if (filter is null || !await filter.ShouldRetryConnectionAttempt(failure, cancellationToken))
            {
                throw failure;
            }
        }

        _ = Task.Run(KeepConnectedAsync, CancellationToken.None);
    }

    public Task StopAsync()
    {
        Dispose();
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        if (_stopping.IsCancellationRequested)
        {
            return;
        }

        _stopping.Cancel();
        foreach (Connection connection in _connections)
        {
            connection.Close(new OrleansMessageRejectionException("The client has been stopped."));
        }

        Calls.Dispose();
    }

    public void OnFrame(Connection connection, byte kind, WireReader reader)
    {
        switch (kind)
        {
            case Frame.Response when connection.IsGreeted:
                OnResponse(reader);
                break;
            case Frame.Request when connection.IsGreeted:
                ulong method = ReadRequest(reader, connection, out InvocationHeader header);
                Observers.Invoke(new RawInvocation(method, header, reader.ReadBytes(reader.Remaining).ToArray()));
                break;
            case Frame.Welcome when connection.Greeting is { } greeting:
                // Frames that follow on the heels of the welcome are answered, too.
                connection.IsGreeted = true;
                greeting.TrySetResult(WelcomeMessage.Read(reader));
                break;
            case Frame.Goodbye when connection.IsGreeted:
                connection.IsGoing = true;
                break;
            default:
                throw new InvalidDataException($"A message of kind {kind} is not expected here.");
        }
    }

    public void OnClosed(Connection connection, Exception reason)
    {
        lock (_gate)
        {
            foreach ((IPEndPoint endpoint, Connection one) in _byEndpoint)
            {
                if (one == connection)
                {
                    _byEndpoint.Remove(endpoint);
                    break;
                }
            }

            _connections = InOrder();
        }

        if (connection.RemoteSilo is not null && !_stopping.IsCancellationRequested)
        {
            LogGatewayLost(Logger, connection.RemoteSilo, reason.Message);
        }

        FailCallsOver(connection, reason);
    }

    protected override void Dispatch(GrainReference reference, Invocation invocation)
    {
        Connection connection = Choose(invocation.Target);
        if (connection.HasRoom)
        {
            Send(connection, invocation);
            return;
        }

        invocation.Isolate();
        _ = SendLaterAsync(connection, invocation);
    }

    private async Task SendLaterAsync(Connection connection, Invocation invocation)
    {
        try
        {
            await connection.WaitForRoomAsync();
            Send(connection, invocation);
        }
        catch (Exception exception)
        {
            invocation.Fail(exception);
        }
    }

    private void Send(Connection connection, Invocation invocation)
    {
        long callId = 0;
        if (invocation.Reply is PendingCall call)
        {
            call.Via = connection;
            callId = call.Id;
        }

        connection.Send(Frame.Request, (this, invocation, callId), static (writer, state) =>
            state.Item1.WriteRequest(writer, state.invocation, state.callId));
    }

    private Connection Choose(GrainId target)
    {
        Connection[] all = _connections;
        if (all.Length == 0)
        {
            throw _stopping.IsCancellationRequested
                ? new OrleansMessageRejectionException("The client has been stopped.")
                : new SiloUnavailableException($"No gateway of cluster \"{_clusterId}\" is connected ({string.Join(", ", _gateways.Select(one => one.ToString()))}).");
        }

        uint start = target.GetUniformHashCode();
        for (uint step = 0; step < all.Length; step++)
        {
            Connection connection = all[(start + step) % (uint)all.Length];
            if (!connection.IsGoing && !connection.IsClosed)
            {
                return connection;
            }
        }

        return all[start % (uint)all.Length];
    }

    private async Task KeepConnectedAsync()
    {
        try
        {
            while (true)
            {
                await Task.Delay(ReconnectDelay, _stopping.Token);
                IPEndPoint[] missing;
                lock (_gate)
                {
                    missing = [.. _gateways.Where(endpoint => !_byEndpoint.ContainsKey(endpoint))];
                }

                await Task.WhenAll(missing.Select(TryConnectAsync));
            }
        }
        catch (OperationCanceledException)
        {
            // Stopped.
        }
    }

    /// <summary>Answers what went wrong, if anything.</summary>
    private async Task<Exception?> TryConnectAsync(IPEndPoint endpoint)
    {
        try
        {
            (Connection connection, WelcomeMessage welcome) = await WelcomeMessage.ConnectAsync(
                endpoint, new HelloMessage(_clusterId, null, _id, null), this, MaxFrame, ConnectLimit);
            connection.RemoteSilo = welcome.Silo;
            _grainTypes ??= new GrainTypeResolver(welcome.Classes);
            lock (_gate)
            {
                if (!connection.IsClosed && !_stopping.IsCancellationRequested)
                {
                    _byEndpoint[endpoint] = connection;
                    _connections = InOrder();
                    return null;
                }
            }

            connection.Close(new OrleansMessageRejectionException("The client has been stopped."));
            return new ConnectionFailedException($"{endpoint} closed the connection.");
        }
        catch (Exception exception) when (exception is OrleansException or OrleansConfigurationException)
        {
            LogNotConnected(Logger, endpoint, exception.Message);
            return exception;
        }
    }

    /// <summary>In the order of the configured list, so that grains keep their gateways.</summary>
    private Connection[] InOrder() => [.. _gateways.Where(_byEndpoint.ContainsKey).Select(endpoint => _byEndpoint[endpoint])];

    private static IPEndPoint ToEndpoint(Uri gateway) => IPAddress.TryParse(gateway.Host, out IPAddress? address)
        ? new IPEndPoint(address, gateway.Port)
        : throw new OrleansConfigurationException($"Gateway {gateway} must name an IP address, as gwy.tcp://127.0.0.1:30000/0.");

    [LoggerMessage(Level = LogLevel.Warning, Message = "The gateway on silo {Silo} is lost: {Reason}")]
    private static partial void LogGatewayLost(ILogger logger, SiloAddress silo, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "No connection to the gateway at {Endpoint}: {Reason}")]
    private static partial void LogNotConnected(ILogger logger, IPEndPoint endpoint, string reason);
}
