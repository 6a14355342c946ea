using Arus.Coordination.Replication;
using Arus.Testing;

namespace Arus.Grains.Tests;

public sealed class StrayLogsTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-strays-").FullName;

    [Fact]
    public void Records_of_partitions_that_a_broker_does_not_keep_are_named()
    {
        var image = new PartitionImage();
        image.Update(
        [
            State("kept", 0, [2, 1]), State("kept", 1, [3, 2]), State("shared", 0, [1]) with { IsShared = true },
            State("deleted", 0, [1]) with { IsDeleted = true },
            State("leaves", 0, [2]) with { Isr = [new ReplicaId(2, Guid.Empty), new ReplicaId(1, Guid.Empty)] },
        ]);
        foreach (string log in (string[])["kept-0", "kept-1", "shared-0", "deleted-0", "leaves-0", "gone-0", "gone-1"])
            Put(log);

        var logger = new ListLogger<StrayLogs>();
        Strays(image, logger).Report();
        Assert.Equal(
            [.. new[] { "gone-0", "gone-1", "kept-1", "shared-0" }.Select(log =>
                $"Warning: {_directory} holds records of {log}, of which this broker is no replica; delete them if they are not needed")],
            logger.Lines);
    }

    [Fact]
    public void Of_many_some_are_named_and_the_rest_counted()
    {
        for (int i = 0; i < 8; i++)
            Put($"gone-{i}");

        var logger = new ListLogger<StrayLogs>();
        Strays(new PartitionImage(), logger).Report();
        Assert.Equal(6, logger.Lines.Count);
        Assert.EndsWith("holds records of 3 more partitions like that", logger.Lines[^1]);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private StrayLogs Strays(PartitionImage image, ListLogger<StrayLogs> logger) =>
        new(_directory, image, new LocalBroker(BrokerConfig.Of([(BrokerConfigs.BrokerId, "1")])), logger);

    private void Put(string log)
    {
        string directory = Directory.CreateDirectory(Path.Combine(_directory, log)).FullName;
        File.WriteAllBytes(Path.Combine(directory, "00000000000000000000.log"), [1]);
    }

    private static PartitionState State(string topic, int partition, int[] replicas) => new(
        topic, new PartitionId(new Guid(topic[0], 0, 0, new byte[8]), partition), 1, 0, -1, [.. replicas], [], []);
}
