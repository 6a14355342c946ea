using System.Net;

namespace Arus.Kafka;

/// <summary>The open connections of this process, counted in total and by address. Safe for use by any thread.</summary>
internal sealed class ConnectionRegistry(KafkaListenerOptions options)
{
    private readonly Lock _lock = new();
    private readonly HashSet<KafkaConnection> _connections = [];
    private readonly Dictionary<IPAddress, int> _byAddress = [];

    public int Count
    {
        get
        {
            lock (_lock)
                return _connections.Count;
        }
    }

    /// <summary>Admits a connection, or says which limit stands against it.</summary>
    public string? TryAdd(KafkaConnection connection)
    {
        lock (_lock)
        {
            if (_connections.Count >= options.MaxConnections)
                return $"{BrokerConfigs.MaxConnections}={options.MaxConnections} is reached";

            int sameAddress = _byAddress.GetValueOrDefault(connection.RemoteAddress);
            if (sameAddress >= options.MaxConnectionsPerAddress)
                return $"{BrokerConfigs.MaxConnectionsPerIp}={options.MaxConnectionsPerAddress} is reached";

            _connections.Add(connection);
            _byAddress[connection.RemoteAddress] = sameAddress + 1;
            return null;
        }
    }

    public void Remove(KafkaConnection connection)
    {
        lock (_lock)
        {
            if (!_connections.Remove(connection))
                return;

            int left = _byAddress[connection.RemoteAddress] - 1;
            if (left == 0)
                _byAddress.Remove(connection.RemoteAddress);
            else
                _byAddress[connection.RemoteAddress] = left;
        }
    }

    public KafkaConnection[] Snapshot()
    {
        lock (_lock)
            return [.. _connections];
    }
}
