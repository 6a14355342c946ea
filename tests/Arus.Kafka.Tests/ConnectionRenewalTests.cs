using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

public sealed class ConnectionRenewalTests
{
    [Fact]
    public async Task When_leaders_were_replaced_connections_end_after_the_answers_to_what_was_read()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        var image = new FakeImage();
        var renewal = new ConnectionRenewal(kafka.Get<ConnectionRegistry>(), kafka.Time, image);
        await renewal.StartAsync(CancellationToken.None);
        TestConnection idle = kafka.Connect();
        TestConnection busy = kafka.Connect();
        partition.Hold();
        await busy.SendAsync(Messages.Produce("topic", 0, Messages.Batch("first")), 9);
        await partition.WhenAsync(p => p.Appends.Count == 1);

        image.Replace();

        await idle.Serving;
        Assert.Null(await idle.ReceiveFrameAsync());
        partition.Release();
        (_, ProduceResponse answer) = await busy.ReceiveAsync<ProduceResponse>(9);
        Assert.Equal(ErrorCode.None, answer.Responses[0].PartitionResponses[0].ErrorCode);
        Assert.Null(await busy.ReceiveFrameAsync());
        Assert.Empty(kafka.Complaints);

        // Those that come back stay, also when the broker stops to listen for changes.
        TestConnection back = kafka.Connect();
        await renewal.StopAsync(CancellationToken.None);
        image.Replace();
        Assert.NotNull(await back.CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0));
    }

    private sealed class FakeImage : ITopicImage
    {
        public long LatestVersion => 0;

        public event Action? LeadersReplaced;

        public TopicDescription? Find(string name) => null;

        public TopicDescription? Find(Guid id) => null;

        public void Replace() => LeadersReplaced?.Invoke();
    }
}
