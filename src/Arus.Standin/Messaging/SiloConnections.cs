using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>The connections of a silo: one to each other silo, made when first needed, and those of its clients.</summary>
internal sealed partial class SiloConnections(SiloRuntime silo, string clusterId) : IFrameHandler
{
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<SiloAddress, Connection> _silos = new();
    private readonly ConcurrentDictionary<SiloAddress, Lazy<Task<Connection>>> _opening = new();
    private readonly ConcurrentDictionary<string, Connection> _clients = new();
    private readonly ConcurrentDictionary<Connection, byte> _all = new();
    private volatile bool _stopped;

    public IEnumerable<string> Clients => _clients.Keys;

    private int MaxFrame => (int)Math.Min((long)silo.Messaging.MaxMessageBodySize + silo.Messaging.MaxMessageHeaderSize, int.MaxValue / 2);

    public bool TryGet(SiloAddress address, [NotNullWhen(true)] out Connection? connection) =>
        _silos.TryGetValue(address, out connection) && !connection.IsClosed;

    public bool TryGetClient(string clientId, [NotNullWhen(true)] out Connection? connection) =>
        _clients.TryGetValue(clientId, out connection) && !connection.IsClosed;

    /// <exception cref="SiloUnavailableException">The silo is dead or cannot be reached.</exception>
    public async ValueTask<Connection> GetAsync(SiloAddress address)
    {
        if (TryGet(address, out Connection? connection))
        {
            return connection;
        }

        if (silo.Membership.IsDead(address))
        {
            throw new SiloUnavailableException($"Silo {address} is dead.");
        }

        Lazy<Task<Connection>> opening = _opening.GetOrAdd(address, one => new(() => OpenAsync(one.Endpoint, one)));
        try
        {
            return await opening.Value;
        }
        catch (Messaging.ConnectionFailedException exception)
        {
            throw new SiloUnavailableException($"Silo {address} cannot be reached: {exception.Message}", exception);
        }
        finally
        {
            _opening.TryRemove(new KeyValuePair<SiloAddress, Lazy<Task<Connection>>>(address, opening));
        }
    }

    /// <summary>A connection to whichever silo is at the endpoint.</summary>
    public async Task<Connection> ConnectAsync(IPEndPoint endpoint)
    {
        KeyValuePair<SiloAddress, Connection> present = _silos.FirstOrDefault(pair => pair.Key.Endpoint.Equals(endpoint) && !pair.Value.IsClosed);
        return present.Value ?? await OpenAsync(endpoint, null);
    }

    public void OnSiloSocket(Socket socket) => Accept(socket, isGateway: false);

    public void OnGatewaySocket(Socket socket) => Accept(socket, isGateway: true);

    public void OnFrame(Connection connection, byte kind, WireReader reader)
    {
        switch (kind)
        {
            case Frame.Request when connection.IsGreeted:
                silo.OnRequest(connection, reader);
                break;
            case Frame.Response when connection.IsGreeted:
                silo.OnResponse(reader);
                break;
            case Frame.Hello when connection.Greeting is null && !connection.IsGreeted:
                Welcome(connection, HelloMessage.Read(reader));
                break;
            case Frame.Welcome when connection.Greeting is { } greeting:
                // Requests may follow on the heels of the welcome, before whoever waits for it has seen it.
                WelcomeMessage welcome = WelcomeMessage.Read(reader);
                connection.RemoteSilo = welcome.Silo;
                connection.IsGreeted = welcome.Refusal is null;
                greeting.TrySetResult(welcome);
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
        _all.TryRemove(connection, out _);
        if (connection.RemoteSilo is { } address)
        {
            _silos.TryRemove(new KeyValuePair<SiloAddress, Connection>(address, connection));
        }

        if (connection.ClientId is { } client)
        {
            _clients.TryRemove(new KeyValuePair<string, Connection>(client, connection));
        }

        if (!_stopped)
        {
            LogClosed(silo.Logger, connection.RemoteSilo?.ToString() ?? connection.ClientId ?? "an unknown end", reason.Message);
        }

        silo.FailCallsOver(connection, reason);
    }

    /// <summary>Closes what leads to a silo that is dead.</summary>
    public void Drop(SiloAddress address, string reason)
    {
        foreach (Connection connection in _all.Keys.Where(one => address.Equals(one.RemoteSilo)))
        {
            connection.Close(new SiloUnavailableException(reason));
        }
    }

    public void SayGoodbye()
    {
        foreach (Connection client in _clients.Values)
        {
            client.TrySendGoodbye();
        }
    }

    public async Task FlushAsync(TimeSpan limit) => await Task.WhenAll(_all.Keys.Select(connection => connection.FlushAsync(limit)));

    /// <summary>Sends what waits, says that no more will come, and gives the other ends time to read it.</summary>
    public async Task FinishAsync(TimeSpan limit)
    {
        _stopped = true;
        await Task.WhenAll(_all.Keys.Select(connection => connection.FinishAsync(limit)));
    }

    public void CloseAll(string reason)
    {
        _stopped = true;
        foreach (Connection connection in _all.Keys)
        {
            connection.Close(new SiloUnavailableException(reason));
        }
    }

    private void Accept(Socket socket, bool isGateway)
    {
        var connection = new Connection(socket, this, MaxFrame) { IsGatewaySide = isGateway };
        _all[connection] = 0;
        if (_stopped)
        {
            connection.Close(new SiloUnavailableException("The silo has stopped."));
            return;
        }

        connection.Start();
    }

    private void Welcome(Connection connection, HelloMessage hello)
    {
        bool wrongCluster = hello.ClusterId != clusterId;
        string? refusal =
            wrongCluster ? $"This silo belongs to cluster \"{clusterId}\", not to \"{hello.ClusterId}\"; set the same ClusterOptions.ClusterId on both sides."
            : hello.Expected is not null && !hello.Expected.Equals(silo.SiloAddress) ? $"This is silo {silo.SiloAddress}, not {hello.Expected}."
            : connection.IsGatewaySide != (hello.ClientId is not null) ? "Clients connect to the gateway port, silos to the silo port."
            : silo.IsStopped ? "This silo is stopping."
            : null;
        var welcome = new WelcomeMessage(refusal, wrongCluster, silo.SiloAddress, refusal is null && hello.ClientId is not null ? silo.ClassEntries : []);
        if (refusal is null)
        {
            connection.ClientId = hello.ClientId;
            connection.RemoteSilo = hello.Silo;
            connection.IsGreeted = true;
            if (hello.ClientId is not null)
            {
                _clients[hello.ClientId] = connection;
            }
            else if (hello.Silo is not null)
            {
                _silos.TryAdd(hello.Silo, connection);
            }
        }

        connection.Send(Frame.Welcome, welcome, static (writer, message) => message.Write(writer));
    }

    private async Task<Connection> OpenAsync(IPEndPoint endpoint, SiloAddress? expected)
    {
        (Connection connection, WelcomeMessage welcome) = await WelcomeMessage.ConnectAsync(
            endpoint, new HelloMessage(clusterId, silo.SiloAddress, null, expected), this, MaxFrame, ConnectLimit);
        _all[connection] = 0;
        _silos[welcome.Silo] = connection;
        if (_stopped || connection.IsClosed)
        {
            connection.Close(new SiloUnavailableException("The connection has ended."));
            OnClosed(connection, new SiloUnavailableException("The connection has ended."));
        }

        return connection;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The connection to {Other} has ended: {Reason}")]
    private static partial void LogClosed(ILogger logger, string other, string reason);
}
