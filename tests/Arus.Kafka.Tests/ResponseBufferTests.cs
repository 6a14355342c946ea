using System.Buffers;
using Arus.Protocol;

namespace Arus.Kafka.Tests;

public sealed class ResponseBufferTests
{
    [Fact]
    public void It_holds_the_bytes_that_a_plain_output_gets_and_the_records_themselves()
    {
        byte[] large = new byte[10_000];
        new Random(7).NextBytes(large);
        byte[] small = Messages.Batch("x");
        var response = new FetchResponse
        {
            Responses = [.. Enumerable.Range(0, 300).Select(i => new FetchResponse.FetchableTopicResponse
            {
                Topic = $"a-topic-with-a-long-name-{i}",
                Partitions =
                [
                    new() { PartitionIndex = 0, Records = i % 50 == 0 ? large : small },
                    new()
                    {
                        PartitionIndex = 1,
                        Records = new ReadOnlyMemory<byte>[] { large.AsMemory(0, 5_000), large.AsMemory(5_000, 10), small },
                    },
                    new() { PartitionIndex = 2 },
                ],
            })],
        };
        var plain = new ArrayBufferWriter<byte>();
        int size = Frames.Write(plain, response, 12, 99);
        using var buffer = new ResponseBuffer();
        Assert.Equal(size, Frames.Write(buffer, response, 12, 99));
        Assert.Equal(plain.WrittenSpan.ToArray(), buffer.Segments.SelectMany(segment => segment.ToArray()));
        Assert.Equal(6, buffer.Segments.Count(segment => segment.Length == 10_000 && segment.Span.Overlaps(large)));
    }

    [Fact]
    public async Task A_response_much_larger_than_the_output_arrives_whole()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 2);
        byte[][] batches = [.. Enumerable.Range(0, 40).Select(i => Messages.Batch(new string((char)('a' + (i % 26)), 90_000 + i)))];
        for (int i = 0; i < batches.Length; i++)
            kafka.Cluster.Partition("topic", i % 2).Put(batches[i]);

        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0), (1, 0)], partitionMaxBytes: 50_000_000), 11);
        int metadata = await connection.SendAsync(Messages.Metadata("topic"), 1);
        (_, FetchResponse response) = await connection.ReceiveAsync<FetchResponse>(11);
        for (int p = 0; p < 2; p++)
        {
            byte[] expected = [.. kafka.Cluster.Partition("topic", p).Batches.SelectMany(batch => batch)];
            Assert.Equal(expected, response.Responses[0].Partitions[p].Records.ToMemory().ToArray());
        }

        Assert.Equal(metadata, (await connection.ReceiveAsync<MetadataResponse>(1)).Correlation);
        await connection.CloseAsync();
        await connection.Serving;
    }

    [Fact]
    public async Task A_client_that_leaves_amid_a_large_response_is_let_go()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        kafka.Cluster.Partition("topic", 0).Put(Messages.Batch(new string('x', 3_000_000)));
        TestConnection connection = kafka.Connect();
        await connection.SendAsync(Messages.Fetch("topic", [(0, 0)], partitionMaxBytes: 50_000_000), 11);
        await kafka.Cluster.Partition("topic", 0).WhenAsync(p => p.Fetches.Count == 1);
        await connection.CloseAsync();
        await connection.Serving;
        Assert.Equal(0, kafka.Get<ConnectionRegistry>().Count);
    }
}
