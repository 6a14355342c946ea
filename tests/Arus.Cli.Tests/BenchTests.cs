using System.Text.Json;

namespace Arus.Cli.Tests;

public sealed class BenchTests
{
    [Fact]
    public async Task Latency_counts_what_comes_after_the_warm_up()
    {
        var cluster = new FakeCluster { Loopback = new Loopback() };
        await cluster.RunAsync("topic", "create", "t");
        cluster.Logs[new TopicPartition("t", 0)] = (0, 0);
        var (code, output, _) = await cluster.RunAsync(
            "bench", "latency", "t", "--rate", "10", "--seconds", "1", "--warmup", "1", "--json");
        Assert.Equal(ExitCode.Success, code);
        using JsonDocument document = JsonDocument.Parse(output);
        int measured = document.RootElement.GetProperty("records").GetInt32();
        Assert.Equal(1, document.RootElement.GetProperty("warmupSeconds").GetInt32());

        // Each record is measured or of the warm-up; a stall of this machine moves some from there to here.
        Assert.InRange(measured, 10, 19);
        Assert.Equal(20, measured + document.RootElement.GetProperty("warmupRecords").GetInt32());
    }

    [Fact]
    public async Task Latency_says_how_long_it_warmed_up()
    {
        var cluster = new FakeCluster { Loopback = new Loopback() };
        await cluster.RunAsync("topic", "create", "t");
        cluster.Logs[new TopicPartition("t", 0)] = (0, 0);
        var (_, output, _) = await cluster.RunAsync("bench", "latency", "t", "--rate", "10", "--seconds", "1", "--warmup", "0");
        Assert.Contains("10 records after 0 s of warm-up: p50", output);
    }

    [Fact]
    public async Task Producing_and_consuming_count_what_comes_after_the_warm_up()
    {
        var cluster = new FakeCluster { Loopback = new Loopback() };
        await cluster.RunAsync("topic", "create", "t");
        var (_, produced, _) = await cluster.RunAsync("bench", "produce", "t", "--records", "30", "--warmup", "20", "--json");
        Assert.Equal(30, RecordsOf(produced));
        Assert.Equal(50, cluster.Loopback.Enqueued);
        var (_, consumed, _) = await cluster.RunAsync("bench", "consume", "t", "--records", "40", "--warmup", "10", "--json");
        Assert.Equal(40, RecordsOf(consumed));
    }

    [Fact]
    public async Task Consuming_needs_no_more_records_than_it_was_asked_for()
    {
        var cluster = new FakeCluster { Loopback = new Loopback { MaxPollRecords = 8 } };
        await cluster.RunAsync("topic", "create", "t");
        await cluster.RunAsync("bench", "produce", "t", "--records", "50");

        // Two polls warm up, and bring six records more than that needs.
        var (_, consumed, said) = await cluster.RunAsync("bench", "consume", "t", "--records", "40", "--warmup", "10", "--json");
        Assert.Equal(34, RecordsOf(consumed));
        Assert.Equal("arus: the warm-up read 16 records in whole polls instead of 10; 34 are left to measure.", said.Trim());
    }

    [Fact]
    public async Task A_warm_up_leaves_something_to_measure_of_a_few_records()
    {
        var cluster = new FakeCluster { Loopback = new Loopback { MaxPollRecords = 10_000 } };
        await cluster.RunAsync("topic", "create", "t");
        await cluster.RunAsync("bench", "produce", "t", "--records", "18");

        // There are as many as were asked for. In polls of 8 records at most the warm-up takes 16 of them.
        var (_, consumed, _) = await cluster.RunAsync("bench", "consume", "t", "--records", "8", "--warmup", "10", "--json");
        Assert.Equal(2, RecordsOf(consumed));
    }

    [Fact]
    public async Task A_warm_up_that_takes_every_record_says_so()
    {
        var cluster = new FakeCluster { Loopback = new Loopback { MaxPollRecords = 8, EndsWhenEmpty = true } };
        await cluster.RunAsync("topic", "create", "t");
        await cluster.RunAsync("bench", "produce", "t", "--records", "50");
        var (_, consumed, said) = await cluster.RunAsync("bench", "consume", "t", "--records", "40", "--warmup", "60", "--json");
        Assert.Equal(0, RecordsOf(consumed));
        Assert.Equal("arus: topic t gave 50 records, fewer than --warmup (60); none are left to measure.", said.Trim());
    }

    [Theory]
    [InlineData("latency", "--warmup", "-1")]
    [InlineData("latency", "--seconds", "0")]
    [InlineData("produce", "--warmup", "-1")]
    [InlineData("consume", "--records", "0")]
    public async Task A_wrong_number_is_refused_by_name(string command, string option, string value)
    {
        var (code, _, error) = await new FakeCluster().RunAsync("bench", command, "t", option, value);
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains($"{option} is {value}; it must be", error);
    }

    private static int RecordsOf(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        return document.RootElement.GetProperty("records").GetInt32();
    }
}
