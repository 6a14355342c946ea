using System.Threading.Channels;
using Arus.Client;
using Arus.Grains;

namespace Arus.Cluster.Tests.Groups;

public sealed class GroupFailoverTests : IAsyncLifetime
{
    private readonly GroupCluster _cluster = new();

    public Task InitializeAsync() => _cluster.InitializeAsync();

    public Task DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task When_the_coordinators_silo_dies_members_stay_and_committed_offsets_survive()
    {
        var a = new Handler();
        var b = new Handler();
        await using GroupMembership first = _cluster.NewMembership("g", "a", a);
        first.Subscribe(["t"]);
        await a.WaitForAsync(() => first.Assignment.Count == 6);
        await using GroupMembership second = _cluster.NewMembership("g", "b", b);
        second.Subscribe(["t"]);
        await b.WaitForAsync(() => second.Assignment.Count == 3);
        await CommitAsync(first, 10);
        await CommitAsync(second, 20);

        string memberId = first.Identity.MemberId;
        await _cluster.KillAsync((await _cluster.Group("g").LocateAsync()).BrokerId);

        CommittedOffset[] survived = await GroupCluster.RetryAsync(
            () => _cluster.Group("g").FetchOffsetsAsync("g", null), _ => ErrorCode.None);
        Assert.Equal(6, survived.Length);
        Assert.Equal(3, survived.Count(offset => offset.Offset == 10));
        Assert.Equal(3, survived.Count(offset => offset.Offset == 20));

        // A third member has the others rebalance with the new coordinator, under the ids they had.
        var c = new Handler();
        await using GroupMembership third = _cluster.NewMembership("g", "c", c);
        third.Subscribe(["t"]);
        await c.WaitForAsync(() => third.Assignment.Count == 2);
        Assert.Equal(memberId, first.Identity.MemberId);
        Assert.Equal(6, first.Assignment.Concat(second.Assignment).Concat(third.Assignment).Distinct().Count());
        await CommitAsync(third, 30);
    }

    private async Task CommitAsync(GroupMembership member, long offset)
    {
        CommittedOffset[] offsets = [.. member.Assignment.Select(partition => new CommittedOffset(partition, offset, -1, ""))];
        ErrorCode[] errors = await GroupCluster.RetryAsync(
            () => _cluster.Group("g").CommitOffsetsAsync("g", member.Identity, offsets), answer => answer[0]);
        Assert.All(errors, error => Assert.Equal(ErrorCode.None, error));
    }

    private sealed class Handler : IConsumerRebalanceListener
    {
        private readonly Channel<bool> _changes = Channel.CreateUnbounded<bool>();

        /// <summary>Looks again whenever the member's partitions have changed.</summary>
        public async Task WaitForAsync(Func<bool> condition)
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            while (!condition())
                await _changes.Reader.ReadAsync(limit.Token);
        }

        public ValueTask OnPartitionsRevokedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken) => default;

        public ValueTask OnPartitionsAssignedAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken) =>
            _changes.Writer.WriteAsync(true, CancellationToken.None);

        public ValueTask OnPartitionsLostAsync(IReadOnlyList<TopicPartition> partitions, CancellationToken cancellationToken) => default;
    }
}
