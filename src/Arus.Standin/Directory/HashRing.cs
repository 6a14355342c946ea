using System.Collections.Immutable;

namespace Orleans.Runtime;

/// <summary>Spreads grain ids over the active silos; a silo that comes or goes moves only its own share. Immutable.</summary>
internal sealed class HashRing
{
    /// <summary>Points of each silo: with few silos and few points, shares would differ a lot.</summary>
    private const int Points = 32;

    private readonly (uint Point, SiloAddress Silo)[] _points;

    public HashRing(IEnumerable<SiloAddress> silos, MembershipVersion version)
    {
        Silos = [.. silos.Order()];
        Version = version;
        _points = [.. Silos
            .SelectMany(silo => Enumerable.Range(0, Points).Select(index => (PointOf(silo, index), silo)))
            .OrderBy(point => point.Item1).ThenBy(point => point.silo)];
    }

    public ImmutableArray<SiloAddress> Silos { get; }

    public MembershipVersion Version { get; }

    /// <summary>The silo whose point follows the id's hash; null on an empty ring.</summary>
    public SiloAddress? OwnerOf(GrainId id)
    {
        if (_points.Length == 0)
        {
            return null;
        }

        uint hash = id.GetUniformHashCode();
        int low = 0;
        int high = _points.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_points[middle].Point < hash)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return _points[low == _points.Length ? 0 : low].Silo;
    }

    private static uint PointOf(SiloAddress silo, int index) =>
        (uint)StableHash.Mix(((ulong)(uint)silo.GetConsistentHashCode() << 32) | (uint)index);
}
