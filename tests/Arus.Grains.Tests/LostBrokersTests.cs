using System.Collections.Immutable;
using Arus.Coordination.Replication;
using Arus.Testing;
using Microsoft.Extensions.Time.Testing;
using Orleans.Runtime;

namespace Arus.Grains.Tests;

public sealed class LostBrokersTests
{
    private static readonly PartitionId Partition = new(Guid.NewGuid(), 0);

    private readonly PartitionImage _image = new();
    private readonly FakeTimeProvider _time = new();
    private readonly LostBrokers _lost;
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public LostBrokersTests()
    {
        var topics = new TopicImage(
            _image, new BrokerMembership(Fake.Of<IClusterMembershipService>((method, _) => throw new NotSupportedException(method.Name))));
        topics.LeadersReplaced += () => _told.TrySetResult();
        _lost = new LostBrokers(_image, topics, _time);
        _lost.Observe([Member(1, SiloStatus.Active), Member(2, SiloStatus.Active)], CancellationToken.None);
    }

    [Fact]
    public async Task It_is_told_when_others_lead_in_the_place_of_a_dead_broker()
    {
        _image.Update([State(version: 1, leader: 2)]);
        _lost.Observe([Member(1, SiloStatus.Active), Member(2, SiloStatus.Dead)], CancellationToken.None);
        _time.Advance(TimeSpan.FromMilliseconds(200));
        Assert.False(_told.Task.IsCompleted);

        _image.Update([State(version: 2, leader: 1)]);
        await AdvanceUntilToldAsync();
    }

    [Fact]
    public async Task A_partition_that_nobody_can_lead_holds_it_up_for_seconds_only()
    {
        _image.Update([State(version: 1, leader: 2)]);
        _lost.Observe([Member(2, SiloStatus.Dead)], CancellationToken.None);
        await AdvanceUntilToldAsync();
    }

    [Fact]
    public void A_broker_that_said_that_it_stops_is_not_lost()
    {
        _lost.Observe([Member(2, SiloStatus.ShuttingDown)], CancellationToken.None);
        _lost.Observe([Member(2, SiloStatus.Dead)], CancellationToken.None);
        Assert.False(_told.Task.IsCompleted);

        // Nor is one that was dead before this broker came.
        _lost.Observe([Member(3, SiloStatus.Dead)], CancellationToken.None);
        Assert.False(_told.Task.IsCompleted);
    }

    private static ClusterMember Member(int broker, SiloStatus status) =>
        new(SiloAddress.New(System.Net.IPAddress.Loopback, 1000 + broker, 1), status, BrokerNames.SiloName(broker));

    private static PartitionState State(long version, int leader) =>
        new("topic", Partition, version, (int)version, leader, [1, 2], [new ReplicaId(1, Guid.Empty)], ImmutableArray<ReplicaId>.Empty);

    private async Task AdvanceUntilToldAsync()
    {
        while (!_told.Task.IsCompleted)
        {
            TestTimeout.Token.ThrowIfCancellationRequested();
            _time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Yield();
        }
    }
}
