using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Runtime;

namespace Arus.Standin.Tests.Runtime;

public sealed class MembershipViewTests
{
    private readonly SiloAddress _first = Silo(1, 1);
    private readonly SiloAddress _second = Silo(2, 1);
    private readonly SiloAddress _third = Silo(3, 1);

    [Fact]
    public void A_status_never_goes_back()
    {
        ClusterMembershipService view = ViewOf(_first);
        Assert.True(view.Set(_second, "second", SiloStatus.Dead));
        Assert.False(view.Set(_second, "second", SiloStatus.Active));
        Assert.True(view.IsDead(_second));
    }

    [Fact]
    public void Views_that_meet_agree_and_their_versions_grow()
    {
        ClusterMembershipService one = ViewOf(_first);
        ClusterMembershipService other = ViewOf(_second);
        one.Set(_first, "first", SiloStatus.Active);
        one.Set(_third, "third", SiloStatus.Active);
        other.Set(_second, "second", SiloStatus.Active);
        other.Set(_third, "third", SiloStatus.Dead);
        long before = Math.Max(one.CurrentSnapshot.Version.Value, other.CurrentSnapshot.Version.Value);

        Assert.True(one.Merge(other.View));
        Assert.True(other.Merge(one.View));
        Assert.False(one.Merge(other.View));

        Assert.Equal(one.CurrentSnapshot.Version, other.CurrentSnapshot.Version);
        Assert.True(one.CurrentSnapshot.Version.Value > before);
        Assert.Equal(one.GetApproximateSiloStatuses().OrderBy(pair => pair.Key), other.GetApproximateSiloStatuses().OrderBy(pair => pair.Key));
        Assert.Equal([_first, _second], one.GetActiveSilos());
    }

    [Fact]
    public void A_later_run_at_the_same_endpoint_is_the_end_of_the_earlier()
    {
        ClusterMembershipService view = ViewOf(_first);
        view.Set(_second, "second", SiloStatus.Active);
        view.Set(Silo(2, 2), "second", SiloStatus.Joining);
        Assert.True(view.IsDead(_second));
    }

    [Fact]
    public void A_silo_learns_that_it_was_declared_dead()
    {
        ClusterMembershipService view = ViewOf(_first);
        bool told = false;
        view.DeclaredDead += () => told = true;
        view.Set(_first, "first", SiloStatus.Active);
        view.Merge(new MembershipView(9, [new MemberEntry(_first, (int)SiloStatus.Dead, "first")]));
        Assert.True(told);
    }

    [Fact]
    public void A_silo_that_leaves_is_not_told_that_it_is_dead()
    {
        ClusterMembershipService view = ViewOf(_first);
        bool told = false;
        view.DeclaredDead += () => told = true;
        view.Set(_first, "first", SiloStatus.ShuttingDown);
        view.Set(_first, "first", SiloStatus.Dead);
        Assert.False(told);
    }

    [Fact]
    public async Task Updates_begin_with_the_present_and_end_with_the_latest()
    {
        ClusterMembershipService view = ViewOf(_first);
        view.Set(_first, "first", SiloStatus.Active);
        await using IAsyncEnumerator<ClusterMembershipSnapshot> updates = view.MembershipUpdates.GetAsyncEnumerator();
        Assert.True(await updates.MoveNextAsync());
        Assert.Single(updates.Current.Members);
        ValueTask<bool> next = updates.MoveNextAsync();
        view.Set(_second, "second", SiloStatus.Active);
        Assert.True(await next);
        Assert.Equal(2, updates.Current.Members.Count);
    }

    private static ClusterMembershipService ViewOf(SiloAddress self) => new(self, "self", NullLogger.Instance);

    private static SiloAddress Silo(int port, int generation) => SiloAddress.New(IPAddress.Loopback, port, generation);
}
