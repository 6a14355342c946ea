namespace Arus.Simulation;

/// <summary>
/// The cluster's membership: silent brokers are declared dead after a while, late or wrongly, in a table of the database.
/// </summary>
internal sealed class Membership
{
    private const int TickMs = 250;

    private readonly Cluster _cluster;
    private readonly World _world;
    private readonly long[] _silentSinceMs;
    private readonly long[] _lastDeadLife;

    public Membership(Cluster cluster)
    {
        _cluster = cluster;
        _world = cluster.World;
        _silentSinceMs = new long[cluster.Plan.Brokers];
        _lastDeadLife = new long[cluster.Plan.Brokers];
        Array.Fill(_silentSinceMs, -1);
        _world.After(TickMs, Tick);
    }

    /// <summary>A broker is declared dead, whether or not it is.</summary>
    public void Declare(int broker)
    {
        if (!_cluster.Database.Members.Remove(broker, out long life))
            return;

        _lastDeadLife[broker] = life;

        _world.Trace?.Invoke($"{_world.NowMs,7} membership: broker {broker} is declared dead");
        Gossip();
    }

    /// <summary>A new life of a broker ends the older one; what is declared dead stays so.</summary>
    public void Join(int broker, long life)
    {
        if (life <= _lastDeadLife[broker] || life <= _cluster.Database.Members.GetValueOrDefault(broker))
            return;

        _cluster.Database.Members[broker] = life;
        _silentSinceMs[broker] = -1;
        Gossip();
    }

    /// <summary>The broker is up, is a member, and is not about to end.</summary>
    public bool IsSettled(Broker broker) =>
        broker is { IsPaused: false, Process: { IsDraining: false } process }
        && _cluster.Database.Members.GetValueOrDefault(broker.Id) == process.Life;

    public void Leave(int broker, long life)
    {
        if (_cluster.Database.Members.GetValueOrDefault(broker) == life)
            Declare(broker);
    }

    /// <summary>Most brokers hear of a change at once and read the table again; the others read it in their turn.</summary>
    private void Gossip()
    {
        foreach (Broker broker in _cluster.Brokers)
        {
            if (broker.Process is { } process && _world.Chance(0.8))
                _world.After(_world.Between(1, 100), process.RefreshMembers);
        }
    }

    private void Tick()
    {
        _world.After(TickMs, Tick);
        foreach (int broker in _cluster.Database.Members.Keys.ToArray())
        {
            if (!IsSilent(broker))
                _silentSinceMs[broker] = -1;
            else if (_silentSinceMs[broker] < 0)
                _silentSinceMs[broker] = _world.NowMs;
            else if (_world.NowMs - _silentSinceMs[broker] >= _cluster.Plan.DetectionMs && HasVoter(broker))
                Declare(broker);
        }
    }

    private bool IsSilent(int broker)
    {
        if (!IsUp(broker))
            return true;

        int[] others = [.. _cluster.Database.Members.Keys.Where(other => other != broker && IsUp(other))];
        return others.Length > 0
            && others.Count(other => _cluster.Network.IsCut(other, broker) || _cluster.Network.IsCut(broker, other)) * 2 > others.Length;
    }

    private bool HasVoter(int broker) =>
        _cluster.Database.Members.Keys.Any(other => other != broker && IsUp(other) && _cluster.Database.IsReachable(other));

    private bool IsUp(int broker) => _cluster.Brokers[broker] is { Process: not null, IsPaused: false };
}
