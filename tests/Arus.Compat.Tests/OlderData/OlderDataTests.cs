using System.Formats.Tar;
using System.IO.Compression;
using Arus.Compression;
using Arus.Protocol;
using Arus.Server.Tests;

namespace Arus.Compat.Tests.OlderData;

/// <summary>Nothing is lost of what an older version has stored; see Fixtures/README.md.</summary>
public sealed class OlderDataTests : IDisposable
{
    /// <summary>Where <see cref="What_a_server_stored_is_there_after_the_next_start"/> leaves new fixtures, if anywhere.</summary>
    private static readonly string? Output = Environment.GetEnvironmentVariable("FIXTURE_OUTPUT");

    private readonly string _directory = Directory.CreateTempSubdirectory("arus-older-").FullName;

    /// <summary>A log and the way in which its server ends; all of them when fixtures are made.</summary>
    public static TheoryData<string, string> Ends => Output is null
        ? new() { { "file", "killed" }, { "storage", "stopped" } }
        : new() { { "file", "stopped" }, { "file", "killed" }, { "storage", "stopped" }, { "storage", "killed" } };

    [Theory]
    [InlineData("file", "stopped")]
    [InlineData("file", "killed")]
    [InlineData("storage", "stopped")]
    [InlineData("storage", "killed")]
    public async Task All_that_d90eba1_stored_is_there(string logType, string end)
    {
        string fixture = Path.Combine(AppContext.BaseDirectory, "OlderData", "Fixtures", $"{logType}-{end}");
        await using (FileStream archive = File.OpenRead($"{fixture}.tar.gz"))
        await using (var tar = new GZipStream(archive, CompressionMode.Decompress))
        {
            await TarFile.ExtractToDirectoryAsync(tar, _directory, overwriteFiles: false);
        }

        await using ServerProcess server = await StartAsync(logType);
        await CheckAsync(server, await File.ReadAllTextAsync($"{fixture}.txt"));
    }

    [Theory, MemberData(nameof(Ends))]
    public async Task What_a_server_stored_is_there_after_the_next_start(string logType, string end)
    {
        await using (ServerProcess server = await StartAsync(logType, "--log.cleaner.backoff.ms=100"))
        {
            await SampleData.WriteCompactedAsync(server.ServerPorts.Kafka);
            server.Terminate();
            await server.WaitForExitAsync();
        }

        string before;
        await using (ServerProcess server = await StartAsync(logType, "--group.initial.rebalance.delay.ms=0"))
        {
            await SampleData.WriteAsync(server.ServerPorts.Kafka);
            using WireClient wire = await WireClient.ConnectAsync(server.ServerPorts.Kafka);
            before = (await ClusterContents.ReadAsync(wire)).Text;
            if (end == "killed")
                server.Kill();
            else
                server.Terminate();

            await server.WaitForExitAsync();
        }

        if (Output is not null)
        {
            await File.WriteAllTextAsync(Path.Combine(Output, $"{logType}-{end}.txt"), before);
            await using FileStream archive = File.Create(Path.Combine(Output, $"{logType}-{end}.tar.gz"));
            await using var tar = new GZipStream(archive, CompressionLevel.SmallestSize);
            await TarFile.CreateFromDirectoryAsync(_directory, tar, includeBaseDirectory: false);
        }

        await using ServerProcess again = await StartAsync(logType);
        await CheckAsync(again, before);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>Starts a server that keeps everything for ever and cleans nothing by itself.</summary>
    private Task<ServerProcess> StartAsync(string logType, params string[] flags) => ServerProcess.StartAsync(
        ServerProcess.Ports.Free(), _directory,
        [
            $"--arus.log.type={logType}", "--log.retention.ms=-1", "--log.cleaner.delete.retention.ms=3000000000000",
            "--offsets.retention.minutes=2000000000", "--producer.id.expiration.ms=3000000000000",
            "--log.cleaner.backoff.ms=1000000000", .. flags,
        ]);

    private static async Task CheckAsync(ServerProcess server, string expected)
    {
        using WireClient wire = await WireClient.ConnectAsync(server.ServerPorts.Kafka);
        ClusterContents contents = await ClusterContents.ReadAsync(wire);
        Assert.Equal(expected, contents.Text);

        (PartitionContents, ReadOnlyMemory<byte>)[] producers =
            [.. contents.Partitions.SelectMany(partition => partition.LastBatchOfEachProducer().Select(batch => (partition, batch)))];
        Assert.NotEmpty(producers);
        foreach ((PartitionContents partition, ReadOnlyMemory<byte> batch) in producers)
            await CheckProducerAsync(wire, partition, batch);

        await CheckDeletedAsync(wire);
    }

    /// <summary>The producer's last batch is known, none may be left out, and the next one follows.</summary>
    private static async Task CheckProducerAsync(WireClient wire, PartitionContents partition, ReadOnlyMemory<byte> last)
    {
        var (header, offset, next) = Next(last);
        Assert.Equal((ErrorCode.None, offset), await ProduceAsync(PartitionContents.AsSent(last)));

        byte[] afterAGap = SampleData.Batch("gap", 1, header with { BaseSequence = next + 1 });
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, (await ProduceAsync(afterAGap)).Error);

        byte[] following = SampleData.Batch("next", 1, header with { BaseSequence = next });
        (ErrorCode error, long at) = await ProduceAsync(following);
        Assert.Equal(ErrorCode.None, error);
        Assert.InRange(at, partition.End, partition.End + 10);

        Task<(ErrorCode Error, long BaseOffset)> ProduceAsync(byte[] batch) =>
            wire.ProduceAsync(partition.Topic, partition.Partition, batch);
    }

    private static (RecordBatchOptions Producer, long BaseOffset, int NextSequence) Next(ReadOnlyMemory<byte> batch)
    {
        var header = new RecordBatchHeader(batch.Span);
        var producer = new RecordBatchOptions { ProducerId = header.ProducerId, ProducerEpoch = header.ProducerEpoch };
        return (producer, header.BaseOffset, header.LastSequence + 1);
    }

    /// <summary>The name is free, and a new topic of that name begins empty.</summary>
    private static async Task CheckDeletedAsync(WireClient wire)
    {
        CreateTopicsResponse created = await wire.CallAsync<CreateTopicsResponse>(
            new CreateTopicsRequest { Topics = [new() { Name = SampleData.DeletedTopic, NumPartitions = 2, ReplicationFactor = -1 }] },
            version: 7);
        Assert.Equal(ErrorCode.None, created.Topics[0].ErrorCode);
        foreach (int partition in new[] { 0, 1 })
        {
            PartitionContents contents = await ClusterContents.ReadPartitionAsync(wire, SampleData.DeletedTopic, partition);
            Assert.Equal((0L, 0L), (contents.Start, contents.End));
        }
    }
}
