using System.Net;
using Arus.Grains;

namespace Arus.Kafka;

/// <summary>
/// The open connections of this process, counted in total and by address. Limits that are changed while the broker runs count for
/// connections that come then. Safe for use by any thread.
/// </summary>
internal sealed class ConnectionRegistry
{
    private readonly Lock _lock = new();
    private readonly HashSet<KafkaConnection> _connections = [];
    private readonly Dictionary<IPAddress, int> _byAddress = [];
    private readonly TimeProvider _time;
    private volatile KafkaListenerOptions _options;

    /// <summary>When the last connection would begin if the connections came evenly, on the clock of <see cref="TimeProvider"/>.</summary>
    private long _lastSlot;

    public ConnectionRegistry(KafkaListenerOptions options, LocalBroker broker, TimeProvider time)
    {
        (_options, _time) = (options, time);
        broker.Reconfigured += () => _options = new KafkaListenerOptions(broker.Config);
    }

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
        KafkaListenerOptions options = _options;
        lock (_lock)
        {
            if (_connections.Count >= options.MaxConnections)
                return $"{BrokerConfigs.MaxConnections}={options.MaxConnections} is reached";

            int sameAddress = _byAddress.GetValueOrDefault(connection.RemoteAddress);
            bool isOverridden = options.MaxConnectionsPerAddressOverrides.TryGetValue(connection.RemoteAddress, out int most);
            most = isOverridden ? most : options.MaxConnectionsPerAddress;
            if (sameAddress >= most)
            {
                string key = isOverridden ? BrokerConfigs.MaxConnectionsPerIpOverrides : BrokerConfigs.MaxConnectionsPerIp;
                return $"{key}={most} is reached";
            }

            _connections.Add(connection);
            _byAddress[connection.RemoteAddress] = sameAddress + 1;
            return null;
        }
    }

    /// <summary>How long a connection that was admitted waits, so that no more than the configured number begin in a second.</summary>
    public TimeSpan ReserveSlot()
    {
        int rate = _options.MaxConnectionCreationRate;
        if (rate == int.MaxValue)
            return TimeSpan.Zero;

        lock (_lock)
        {
            // Connections of one second may come at once.
            long now = _time.GetTimestamp();
            _lastSlot = Math.Max(_lastSlot, now - _time.TimestampFrequency) + (_time.TimestampFrequency / Math.Max(rate, 1));
            return _lastSlot <= now ? TimeSpan.Zero : _time.GetElapsedTime(now, _lastSlot);
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
