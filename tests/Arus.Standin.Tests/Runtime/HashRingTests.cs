using System.Net;
using Orleans.Runtime;

namespace Arus.Standin.Tests.Runtime;

public sealed class HashRingTests
{
    private static readonly GrainId[] Ids = [.. Enumerable.Range(0, 20_000).Select(key => GrainId.Create("grain", key.ToString()))];

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void Shares_are_of_about_the_same_size(int silos)
    {
        HashRing ring = RingOf(silos);
        Assert.All(
            Ids.GroupBy(id => ring.OwnerOf(id)!).Select(group => group.Count()),
            count => Assert.InRange(count, Ids.Length / silos / 2, Ids.Length / silos * 2));
        Assert.Equal(silos, Ids.Select(ring.OwnerOf).Distinct().Count());
    }

    [Fact]
    public void A_silo_that_goes_moves_only_its_own_share()
    {
        HashRing before = RingOf(4);
        HashRing after = RingOf(3);
        SiloAddress gone = Silo(3);
        Assert.All(Ids.Where(id => !gone.Equals(before.OwnerOf(id))), id => Assert.Equal(before.OwnerOf(id), after.OwnerOf(id)));
    }

    [Fact]
    public void Order_of_silos_does_not_matter()
    {
        var backwards = new HashRing(Enumerable.Range(0, 5).Reverse().Select(Silo), default);
        HashRing ring = RingOf(5);
        Assert.All(Ids, id => Assert.Equal(ring.OwnerOf(id), backwards.OwnerOf(id)));
    }

    [Fact]
    public void An_empty_ring_has_no_owner() => Assert.Null(RingOf(0).OwnerOf(Ids[0]));

    private static HashRing RingOf(int silos) => new(Enumerable.Range(0, silos).Select(Silo), default);

    private static SiloAddress Silo(int number) => SiloAddress.New(IPAddress.Loopback, 11111 + number, 100 + number);
}
