using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Arus.Compression;
using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Orleans.Hosting;

namespace Arus.Benchmarks;

/// <summary>
/// Many topics on one broker, which runs as a process of its own: the time to create and list them and to produce to any of them,
/// what they cost in memory, and many partitions written at once. Options: <c>gateway=30000 http=8080 topics=100000 partitions=1000
/// create=1</c>; with <c>create=0</c> the topics of an earlier run are used, and the wide topic is another.
/// </summary>
internal static class TopicBenchmarks
{
    private const int AtOnce = 64;
    private const int Samples = 500;
    private const int Rounds = 10;

    public static async Task RunAsync(string[] options)
    {
        int Option(string name, int otherwise) => options.Where(option => option.StartsWith(name + "=", StringComparison.Ordinal))
            .Select(option => int.Parse(option[(name.Length + 1)..], CultureInfo.InvariantCulture)).FirstOrDefault(otherwise);
        int topics = Option("topics", 100_000);
        int partitions = Option("partitions", 1_000);
        var metrics = new Uri($"http://127.0.0.1:{Option("http", 8080)}/metrics");
        using IHost host = new HostBuilder()
            .UseOrleansClient(client => client
                .UseLocalhostClustering(Option("gateway", 30_000), "arus", "arus")
                .Configure<ClientMessagingOptions>(messaging => messaging.ResponseTimeout = TimeSpan.FromSeconds(60)))
            .Build();
        await host.StartAsync();
        IClusterClient grains = host.Services.GetRequiredService<IClusterClient>();

        await ReportMemoryAsync(metrics, "before", 0);
        if (Option("create", 1) == 1)
        {
            await CreateAsync(grains, topics);
            await ReportMemoryAsync(metrics, "all created, all topic grains active", topics);
        }

        await ListAsync(grains);
        await ListAsync(grains);
        await ReportMemoryAsync(metrics, "listed", topics);
        await ProduceToRandomAsync(grains, topics);
        await WriteAtOnceAsync(grains, partitions);
        await ReportMemoryAsync(metrics, "after writing", topics);
        await host.StopAsync();
    }

    private static async Task CreateAsync(IGrainFactory grains, int topics)
    {
        var spec = new TopicSpec(1, -1, null, [], false);
        long started = Stopwatch.GetTimestamp();
        await Parallel.ForEachAsync(Enumerable.Range(0, topics), new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (i, _) =>
            await grains.GetGrain<ITopicGrain>(Name(i)).CreateAsync(spec));
        TimeSpan took = Stopwatch.GetElapsedTime(started);
        Console.WriteLine($"create {topics:N0} topics, {AtOnce} at once: {took.TotalSeconds:F1} s, {topics / took.TotalSeconds:N0}/s");
    }

    private static async Task ListAsync(IGrainFactory grains)
    {
        long started = Stopwatch.GetTimestamp();
        TopicListing[][] shards = await Task.WhenAll(
            Enumerable.Range(0, TopicCatalog.Shards).Select(shard => grains.GetGrain<ITopicCatalogGrain>(shard).ListAsync()));
        Console.WriteLine(
            $"list {shards.Sum(shard => shard.Length):N0} topics: {Stopwatch.GetElapsedTime(started).TotalMilliseconds:N0} ms");
    }

    private static async Task ProduceToRandomAsync(IGrainFactory grains, int topics)
    {
        var random = new Random(42);
        PartitionAppend request = Request();
        string[] keys = [.. Enumerable.Range(0, Samples).Select(_ => PartitionKey.Format(Name(random.Next(topics)), 0)).Distinct()];
        foreach (string kind in (string[])["first", "second"])
        {
            var times = new List<double>();
            foreach (string key in keys)
            {
                long started = Stopwatch.GetTimestamp();
                Check(await grains.GetGrain<IPartitionGrain>(key).AppendAsync(request));
                times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            }

            times.Sort();
            Console.WriteLine(
                $"{kind} append to each of {keys.Length} random topics, one after the other: "
                + $"p50 {times[times.Count / 2]:F1} ms, p99 {times[times.Count * 99 / 100]:F1} ms");
        }
    }

    private static async Task WriteAtOnceAsync(IGrainFactory grains, int partitions)
    {
        string topic = $"wide-{Guid.NewGuid():n}";
        await grains.GetGrain<ITopicGrain>(topic).CreateAsync(new TopicSpec(partitions, -1, null, [], false));
        IPartitionGrain[] all =
            [.. Enumerable.Range(0, partitions).Select(i => grains.GetGrain<IPartitionGrain>(PartitionKey.Format(topic, i)))];
        PartitionAppend request = Request();
        for (int round = 0; round <= Rounds; round++)
        {
            long started = Stopwatch.GetTimestamp();
            PartitionAppendResult[] responses = await Task.WhenAll(all.Select(partition => partition.AppendAsync(request)));
            TimeSpan took = Stopwatch.GetElapsedTime(started);
            Array.ForEach(responses, Check);
            if (round is 0 or 1 or Rounds)
            {
                Console.WriteLine(
                    $"one batch to each of {partitions:N0} partitions at once, round {round}: {took.TotalMilliseconds:N0} ms");
            }
        }
    }

    private static void Check(PartitionAppendResult response)
    {
        if (response.Results[0].Error != ErrorCode.None)
            throw new InvalidOperationException($"{response.Results[0]}");
    }

    private static PartitionAppend Request()
    {
        using var builder = new RecordBatchBuilder();
        for (int i = 0; i < 10; i++)
            builder.Append(1_700_000_000_000, null, new byte[100]);

        return new PartitionAppend(-1, 30_000, [builder.Build(new RecordBatchOptions()).ToArray()]);
    }

    private static async Task ReportMemoryAsync(Uri metrics, string when, int topics)
    {
        using var http = new HttpClient();
        string text = await http.GetStringAsync(metrics);
        double Value(string name) => Regex.Matches(text, $"^{name}(?:{{[^}}]*}})? (\\S+)$", RegexOptions.Multiline)
            .Sum(match => double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));
        double heap = Value("dotnet_gc_last_collection_heap_size_bytes");
        double set = Value("dotnet_process_memory_working_set_bytes");
        Console.WriteLine(
            $"memory {when}: working set {set / 1e6:N0} MB, heap at last collection {heap / 1e6:N0} MB" +
            (topics > 0 ? $", heap a topic {heap / topics:N0} B" : ""));
    }

    private static string Name(int i) => string.Create(CultureInfo.InvariantCulture, $"topic-{i:D6}");
}
