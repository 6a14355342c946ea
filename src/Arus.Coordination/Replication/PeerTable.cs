namespace Arus.Coordination.Replication;

/// <summary>The brokers that this one knows of, and the cluster's membership.</summary>
internal sealed class PeerTable(ReplicationOptions options)
{
    private readonly Dictionary<int, Peer> _peers = [];
    private long _grantedToAllUntilMs;

    /// <summary>This broker's life; -1 while the membership does not name it.</summary>
    public long SelfLife { get; private set; } = -1;

    public bool IsSelfLive => SelfLife >= 0;

    /// <summary>When the reading of the membership began of which all this is.</summary>
    public long ReadMs { get; set; } = long.MinValue;

    public IEnumerable<Peer> All => _peers.Values;

    /// <summary>All live brokers, this one included, in the order of their ids.</summary>
    public IEnumerable<int> LiveBrokers()
    {
        IEnumerable<int> others = _peers.Values.Where(peer => peer.IsLive).Select(peer => peer.BrokerId);
        return (IsSelfLive ? others.Append(options.BrokerId) : others).Order();
    }

    public Peer Get(int brokerId)
    {
        if (!_peers.TryGetValue(brokerId, out Peer? peer))
        {
            peer = new Peer(brokerId) { GrantedUntilMs = _grantedToAllUntilMs };
            _peers.Add(brokerId, peer);
        }

        return peer;
    }

    public bool IsLive(int brokerId) =>
        brokerId == options.BrokerId ? IsSelfLive : _peers.TryGetValue(brokerId, out Peer? peer) && peer.IsLive;

    /// <summary>An earlier life of this broker may have promised anybody a lease a moment ago.</summary>
    public void GrantToAll(long nowMs)
    {
        _grantedToAllUntilMs = nowMs + options.LeaseMs;
        foreach (Peer peer in _peers.Values)
            peer.GrantedUntilMs = Math.Max(peer.GrantedUntilMs, _grantedToAllUntilMs);
    }

    /// <returns>The peers that came, went, or have another life; null if there are none.</returns>
    public List<Peer>? Update(IReadOnlyDictionary<int, long> live, long nowMs)
    {
        bool wasSelfLive = IsSelfLive;
        SelfLife = live.TryGetValue(options.BrokerId, out long life) ? life : -1;
        if (IsSelfLive && !wasSelfLive)
            GrantToAll(nowMs);

        foreach (int brokerId in live.Keys)
        {
            if (brokerId != options.BrokerId)
                Get(brokerId);
        }

        List<Peer>? changed = null;
        foreach (Peer peer in _peers.Values)
        {
            if (UpdateOne(peer, live, nowMs))
                (changed ??= []).Add(peer);
        }

        if (wasSelfLive != IsSelfLive)
            changed ??= [];

        return changed;
    }

    private static bool UpdateOne(Peer peer, IReadOnlyDictionary<int, long> live, long nowMs)
    {
        bool isLive = live.TryGetValue(peer.BrokerId, out long life);
        if (isLive == peer.IsLive && (!isLive || life == peer.Life))
            return false;

        peer.IsLive = isLive;
        peer.BreakSilence(nowMs);
        if (isLive)
            peer.Life = life;

        return true;
    }
}
