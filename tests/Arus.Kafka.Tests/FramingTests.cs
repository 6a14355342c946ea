using Arus.Protocol;
using Arus.Testing;

namespace Arus.Kafka.Tests;

public sealed class FramingTests
{
    [Fact]
    public async Task Requests_split_at_any_byte_are_answered_as_if_whole()
    {
        byte[] bytes =
        [
            .. TestConnection.Encode(new ApiVersionsRequest { ClientSoftwareName = "test", ClientSoftwareVersion = "1.0" }, 3, 1),
            .. TestConnection.Encode(Messages.Produce("topic", 0, Messages.Batch("a", "b")), 9, 2),
            .. TestConnection.Encode(Messages.Metadata("topic"), 12, 3),
        ];
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        for (int split = 1; split < bytes.Length; split++)
        {
            TestConnection connection = kafka.Connect();
            await connection.SendRawAsync(bytes.AsMemory(0, split));
            await connection.SendRawAsync(bytes.AsMemory(split));
            Assert.Equal(1, (await connection.ReceiveAsync<ApiVersionsResponse>(3)).Correlation);
            (int correlation, ProduceResponse produced) = await connection.ReceiveAsync<ProduceResponse>(9);
            Assert.Equal((2, ErrorCode.None), (correlation, produced.Responses[0].PartitionResponses[0].ErrorCode));
            Assert.Equal(3, (await connection.ReceiveAsync<MetadataResponse>(12)).Correlation);
            await connection.CloseAsync();
            await connection.Serving;
        }

        Assert.Empty(kafka.Complaints);
    }

    [Fact]
    public async Task A_request_sent_byte_by_byte_is_answered()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        foreach (byte value in TestConnection.Encode(new ApiVersionsRequest(), 0, 7))
            await connection.SendRawAsync(new[] { value });

        Assert.Equal(7, (await connection.ReceiveAsync<ApiVersionsResponse>(0)).Correlation);
    }

    [Theory]
    [InlineData(new byte[] { 0x7F, 0xFF, 0xFF, 0xFF, 0, 18 }, "socket.request.max.bytes")]
    [InlineData(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0, 18 }, "no request")]
    [InlineData(new byte[] { 0, 0, 0, 0 }, "no request")]
    [InlineData(new byte[] { 0, 0, 0, 1 }, "no request")]
    [InlineData(new byte[] { 0, 0, 0, 9, 0, 18 }, "no request")]
    [InlineData(new byte[] { 0x7F, 0xFF, 0xFF, 0xFF }, "socket.request.max.bytes")]
    [InlineData(new byte[] { 0x16, 0x03, 0x01, 0x02, 0x00, 0x01 }, "TLS")]
    [InlineData(new byte[] { 0, 0, 0, 10, 0, 77, 0, 0, 0, 0, 0, 1, 0, 0 }, "API 77 is not served")]
    [InlineData(new byte[] { 0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xFF, 0xFF }, "Metadata v99 is not served")]
    [InlineData(new byte[] { 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 0xFF, 0xFF }, "Produce v2 is not served")]
    [InlineData(new byte[] { 0, 0, 0, 10, 0, 3, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF }, "MetadataRequest v1")]
    [InlineData(new byte[] { 0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF }, "Topics")]
    public async Task A_bad_frame_ends_its_own_connection_with_one_line(byte[] bytes, string reason)
    {
        await using var kafka = new KafkaHarness();
        TestConnection good = kafka.Connect();
        TestConnection bad = kafka.Connect();
        await bad.SendRawAsync(bytes);
        Assert.Null(await bad.ReceiveFrameAsync());
        await bad.Serving;
        Assert.Contains(reason, Assert.Single(kafka.Complaints), StringComparison.Ordinal);
        await good.CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(13)]
    public async Task A_connection_that_ends_inside_a_request_is_closed_with_one_line(int length)
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        await connection.SendRawAsync(TestConnection.Encode(new ApiVersionsRequest(), 0, 1).AsMemory(0, length));
        await connection.CloseAsync();
        await connection.Serving;
        Assert.Contains("inside a request", Assert.Single(kafka.Complaints), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_connection_that_ends_between_requests_is_no_fault()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        await connection.CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
        await connection.CloseAsync();
        await connection.Serving;
        Assert.Empty(kafka.Complaints);
        Assert.Equal(0, kafka.Get<ConnectionRegistry>().Count);
    }

    [Fact]
    public async Task An_unknown_ApiVersions_version_is_answered_with_an_error_in_version_0()
    {
        await using var kafka = new KafkaHarness();
        TestConnection connection = kafka.Connect();
        await connection.SendRawAsync(new byte[] { 0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 1, 0xFF, 0xFF });
        (_, ApiVersionsResponse response) = await connection.ReceiveAsync<ApiVersionsResponse>(0);
        Assert.Equal(ErrorCode.UnsupportedVersion, response.ErrorCode);
        Assert.Equal((18, 0, 5), response.ApiKeys.Select(api => (api.ApiKey, (int)api.MinVersion, (int)api.MaxVersion)).Single());
        await connection.CallAsync<ApiVersionsResponse>(new ApiVersionsRequest(), 0);
    }

    [Fact]
    public async Task A_large_request_counts_against_the_budget_until_its_response()
    {
        await using var kafka = new KafkaHarness();
        kafka.Cluster.AddTopic("topic", 1);
        InMemoryPartition partition = kafka.Cluster.Partition("topic", 0);
        partition.Hold();
        TestConnection connection = kafka.Connect();
        byte[] frame = TestConnection.Encode(Messages.Produce("topic", 0, Messages.Batch(new string('x', 100_000))), 9, 1);
        await connection.SendRawAsync(frame);
        await partition.WhenAsync(p => p.Appends.Count == 1);
        Assert.Equal(frame.Length - sizeof(int), kafka.Get<RequestMemory>().UsedBytes);
        partition.Release();
        await connection.ReceiveAsync<ProduceResponse>(9);
        await connection.CloseAsync();
        await connection.Serving;
        Assert.Equal(0, kafka.Get<RequestMemory>().UsedBytes);
    }
}
