using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Arus.Grains;
using Arus.Hosting;
using Arus.Protocol;
using Arus.Testing;

namespace Arus.Server.Tests;

public sealed class TelemetryTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-telemetry-").FullName;
    private readonly ServerProcess.Ports _ports = ServerProcess.Ports.Free();

    [Fact]
    public async Task Metrics_are_served_in_the_text_format_of_Prometheus()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(_ports, _directory);
        IGrainFactory grains = await server.ConnectAsync();
        await AppendAsync(grains, "one");
        string first = await server.GetAsync("/metrics");
        Assert.Contains("\n# TYPE arus_partition_append_batches_total counter\n", first);
        Assert.Contains("\n# HELP arus_partition_append_batches_total Record batches appended, as producers sent them.\n", first);
        Assert.Equal("1", Value(first, "arus_partition_append_batches_total"));
        Assert.Equal("1", Value(first, "arus_partition_append_duration_seconds_count"));
        Assert.Contains("\narus_partition_append_duration_seconds_bucket{le=\"0.0005\"} ", first);
        Assert.Contains("\narus_partition_append_duration_seconds_bucket{le=\"+Inf\"} 1\n", first);
        Assert.Contains("\n# TYPE arus_partition_open gauge\n", first);
        Assert.Equal("1", Value(first, "arus_partition_open"));
        Assert.Contains("\ndotnet_gc_collections_total{", first);
        Assert.Contains("\norleans_", first);

        // One head for each name, and of Arus' own none that its definitions lack.
        string[] heads =
        [
            .. first.Split('\n').Where(line => line.StartsWith("# TYPE ", StringComparison.Ordinal)).Select(line => line.Split(' ')[2]),
        ];
        Assert.Equal(heads.Distinct(), heads);
        Assert.Empty(heads.Where(name => name.StartsWith("arus_", StringComparison.Ordinal))
            .Except(ArusTelemetry.Metrics.Select(metric => metric.PrometheusName)));

        // What is observed replaces what was observed before.
        await AppendAsync(grains, "two");
        await Eventually.AsksAsync(
            () => server.GetAsync("/metrics"), text => Value(text, "arus_partition_open") == "2", _ => false, TestTimeout.Value);
    }

    [Fact]
    public async Task Metrics_and_traces_go_to_a_collector()
    {
        int port = ServerProcess.Ports.Free().Http;
        using var collector = new HttpListener();
        collector.Prefixes.Add($"http://127.0.0.1:{port}/");
        collector.Start();
        await using ServerProcess server = await ServerProcess.StartAsync(
            _ports, _directory,
            [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_METRIC_EXPORT_INTERVAL", "200"), ("OTEL_BSP_SCHEDULE_DELAY", "200"),
                ("OTEL_TRACES_SAMPLER", "always_on")],
            $"--arus.otlp.endpoint=http://127.0.0.1:{port}");
        await AppendAsync(await server.ConnectAsync(), "one");
        await RequestMetadataAsync();
        await ReceiveAsync(
            collector,
            [
                ("/v1/metrics", "arus.partition.append.batches"), ("/v1/traces", "traced-client"),
                ("/v1/traces", "Microsoft.Orleans.Application"),
            ]);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static async Task AppendAsync(IGrainFactory grains, string topic)
    {
        await grains.GetGrain<ITopicGrain>(topic).CreateAsync(new TopicSpec(1, -1, null, [], false));
        Assert.Equal(
            ErrorCode.None,
            (await grains.GetGrain<IPartitionGrain>($"{topic}/0").AppendAsync(ServerProcessTests.Batch(0))).Results[0].Error);
    }

    /// <summary>A request of a Kafka client that makes the broker call grains.</summary>
    private async Task RequestMetadataAsync()
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, _ports.Kafka);
        var request = new ArrayBufferWriter<byte>();
        Frames.Write(request, new MetadataRequest { Topics = [new() { Name = "one" }] }, 9, 1, "traced-client");
        await client.GetStream().WriteAsync(request.WrittenMemory);
        await client.GetStream().ReadExactlyAsync(new byte[Frames.SizePrefix]).AsTask().WaitAsync(TestTimeout.Value);
    }

    /// <summary>Takes exports until each of the texts was in one that went to its path.</summary>
    private static async Task ReceiveAsync(HttpListener collector, List<(string Path, string Text)> expected)
    {
        while (expected.Count > 0)
        {
            HttpListenerContext export = await collector.GetContextAsync().WaitAsync(TestTimeout.Value);
            using var body = new MemoryStream();
            await export.Request.InputStream.CopyToAsync(body);
            string path = export.Request.Url!.AbsolutePath;
            expected.RemoveAll(one => one.Path == path && body.ToArray().AsSpan().IndexOf(Encoding.UTF8.GetBytes(one.Text)) >= 0);
            export.Response.Close();
        }
    }

    private static string? Value(string metrics, string name) => metrics.Split('\n')
        .Where(line => line.StartsWith(name + "{} ", StringComparison.Ordinal) || line.StartsWith(name + " ", StringComparison.Ordinal))
        .Select(line => line.Split(' ')[1]).FirstOrDefault();
}
