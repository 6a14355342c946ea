using Arus.Coordination.Replication;

namespace Arus.Grains.Tests;

/// <summary>Which replica leads where the database does not know any more who may.</summary>
public sealed class MetadataRestoreTests
{
    private static readonly PartitionId Id = new(Guid.NewGuid(), 0);
    private static readonly Guid[] LogIds = [Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid()];

    [Theory]
    [InlineData(3, new[] { 1 }, 3, false)] // All is known.
    [InlineData(3, new int[0], 3, true)] // Nobody is known to be in sync.
    [InlineData(-1, new int[0], -1, false)] // There was no leader yet.
    [InlineData(3, new[] { 1 }, 4, true)] // A log has followed a leader that the database does not know.
    public void What_the_database_has_lost_is_seen_by_the_logs(int epoch, int[] isr, int fenced, bool expected) =>
        Assert.Equal(expected, MetadataRestore.IsLost(State(epoch, isr), [(1, Log(1, fenced, fenced, 10))]));

    [Theory]
    [InlineData("1:5/5/90 2:5/5/100 3:5/4/200", 2)] // The epoch of the last record counts before the end.
    [InlineData("1:6/5/100 2:5/5/100 3:5/5/100", 1)] // Of equals the first of the replicas.
    [InlineData("2:5/5/100 3:7/6/80", 3)]
    [InlineData("1:5/-1/0 4:5/5/7", 4)] // Another broker than the database knows has the records.
    public void The_log_that_goes_furthest_leads_in_an_epoch_that_nobody_had(string logs, int leader)
    {
        (int Broker, LogDescription Log)[] found = [.. logs.Split(' ').Select(Parse)];
        PartitionState state = State(3, []) with { Target = [2, 3], Elr = [new ReplicaId(1, LogIds[1])] };
        PartitionState proposed = MetadataRestore.Propose(state, found, isUnclean: false);
        Assert.Equal((leader, found.Max(one => one.Log.FencedEpoch) + 1), (proposed.Leader, proposed.LeaderEpoch));
        Assert.Equal(new ReplicaId(leader, LogIds[leader]), Assert.Single(proposed.Isr));
        Assert.Empty(proposed.Elr);
        Assert.Empty(proposed.Target);
        Assert.Contains(leader, proposed.Replicas);
        Assert.False(proposed.IsUnclean);
        Assert.True(MetadataRestore.Propose(state, found, isUnclean: true).IsUnclean);
    }

    [Fact]
    public void The_epoch_is_after_that_of_the_database_too() =>
        Assert.Equal(10, MetadataRestore.Propose(State(9, []), [(1, Log(1, 5, 5, 10))], isUnclean: false).LeaderEpoch);

    private static PartitionState State(int epoch, int[] isr) => new(
        "t", Id, 7, epoch, isr.Length == 0 ? -1 : isr[0], [1, 2, 3], [.. isr.Select(broker => new ReplicaId(broker, LogIds[broker]))], []);

    private static LogDescription Log(int broker, int fenced, int latest, long end) =>
        new(Id.TopicId, 0, LogIds[broker], fenced, latest, end);

    /// <summary><c>broker:fenced/latest/end</c></summary>
    private static (int Broker, LogDescription Log) Parse(string text)
    {
        int broker = text[0] - '0';
        int[] numbers = [.. text[2..].Split('/').Select(int.Parse)];
        return (broker, Log(broker, numbers[0], numbers[1], numbers[2]));
    }
}
