using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Arus.Compression;
using Arus.Protocol;

namespace Arus.Compat.Tests.OlderData;

/// <summary>All that a broker keeps for its users, read over the Kafka protocol, and the same as text: one fact a line.</summary>
internal sealed class ClusterContents
{
    private const int MaxBytes = 50_000_000;

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly WireClient _wire;
    private readonly StringBuilder _text = new();
    private readonly List<PartitionContents> _partitions = [];

    private ClusterContents(WireClient wire) => _wire = wire;

    public string Text => _text.ToString();

    public IReadOnlyList<PartitionContents> Partitions => _partitions;

    public static async Task<ClusterContents> ReadAsync(WireClient wire)
    {
        var contents = new ClusterContents(wire);
        MetadataResponse metadata = await wire.CallAsync<MetadataResponse>(new MetadataRequest { Topics = null }, version: 12);
        contents.Line($"cluster {metadata.ClusterId}");
        foreach (MetadataResponse.MetadataTopic topic in metadata.Topics.OrderBy(topic => topic.Name, StringComparer.Ordinal))
            await contents.ReadTopicAsync(topic);

        ListGroupsResponse groups = await wire.CallAsync<ListGroupsResponse>(new ListGroupsRequest(), version: 4);
        foreach (string group in groups.Groups.Select(group => group.GroupId).Order(StringComparer.Ordinal))
            await contents.ReadGroupAsync(group);

        return contents;
    }

    /// <summary>The batches of one partition, from its first offset to its high watermark.</summary>
    public static async Task<PartitionContents> ReadPartitionAsync(WireClient wire, string topic, int partition)
    {
        long start = await FindOffsetAsync(wire, topic, partition, timestamp: -2);
        long end = await FindOffsetAsync(wire, topic, partition, timestamp: -1);
        var batches = new List<ReadOnlyMemory<byte>>();
        for (long next = start; next < end;)
        {
            var position = new FetchRequest.FetchPartition { Partition = partition, FetchOffset = next, PartitionMaxBytes = MaxBytes };
            FetchResponse response = await wire.CallAsync<FetchResponse>(
                new FetchRequest { MaxBytes = MaxBytes, Topics = [new() { Topic = topic, Partitions = [position] }] }, version: 12);
            FetchResponse.PartitionData data = response.Responses[0].Partitions[0];
            if (data.ErrorCode == ErrorCode.OffsetOutOfRange)
            {
                // The log's start moves when it is compacted.
                return await ReadPartitionAsync(wire, topic, partition);
            }

            Assert.Equal(ErrorCode.None, data.ErrorCode);
            Assert.Equal(end, data.HighWatermark);
            ReadOnlyMemory<byte> bytes = data.Records.ToMemory();
            Assert.False(bytes.IsEmpty, $"{topic}/{partition} has nothing at {next}, and ends at {end}");
            while (!bytes.IsEmpty)
            {
                var header = new RecordBatchHeader(bytes.Span);
                batches.Add(bytes[..header.SizeInBytes]);
                next = header.NextOffset;
                bytes = bytes[header.SizeInBytes..];
            }
        }

        return new PartitionContents(topic, partition, start, end, batches);
    }

    private static async Task<long> FindOffsetAsync(WireClient wire, string topic, int partition, long timestamp)
    {
        ListOffsetsResponse response = await wire.CallAsync<ListOffsetsResponse>(
            new ListOffsetsRequest
            {
                Topics = [new() { Name = topic, Partitions = [new() { PartitionIndex = partition, Timestamp = timestamp }] }],
            },
            version: 7);
        ListOffsetsResponse.ListOffsetsPartitionResponse found = response.Topics[0].Partitions[0];
        Assert.Equal(ErrorCode.None, found.ErrorCode);
        return found.Offset;
    }

    private async Task ReadTopicAsync(MetadataResponse.MetadataTopic topic)
    {
        Assert.Equal(ErrorCode.None, topic.ErrorCode);
        Line($"topic {topic.Name} {topic.TopicId} of {topic.Partitions.Length}");
        DescribeConfigsResponse configs = await _wire.CallAsync<DescribeConfigsResponse>(
            new DescribeConfigsRequest { Resources = [new() { ResourceType = 2, ResourceName = topic.Name!, ConfigurationKeys = null }] },
            version: 4);
        const int OfTopic = 1;
        foreach (string line in configs.Results[0].Configs.Where(config => config.ConfigSource == OfTopic)
            .Select(config => $"  {config.Name}={config.Value}").Order(StringComparer.Ordinal))
        {
            Line(line);
        }

        foreach (int partition in topic.Partitions.Select(partition => partition.PartitionIndex).Order())
        {
            PartitionContents contents = await ReadPartitionAsync(_wire, topic.Name!, partition);
            _partitions.Add(contents);
            Write(contents);
        }
    }

    private async Task ReadGroupAsync(string id)
    {
        DescribeGroupsResponse described =
            await _wire.CallAsync<DescribeGroupsResponse>(new DescribeGroupsRequest { Groups = [id] }, version: 5);
        DescribeGroupsResponse.DescribedGroup group = described.Groups[0];
        Assert.Equal(ErrorCode.None, group.ErrorCode);
        Line($"group {id} {group.GroupState} {group.ProtocolType}/{group.ProtocolData}");
        foreach (DescribeGroupsResponse.DescribedGroupMember member in
            group.Members.OrderBy(member => member.MemberId, StringComparer.Ordinal))
        {
            Line($"  member {member.MemberId} instance {member.GroupInstanceId ?? "none"} of {member.ClientId} at {member.ClientHost}");
            Line($"    subscribes {Convert.ToHexString(member.MemberMetadata.Span)}" +
                $" has {Convert.ToHexString(member.MemberAssignment.Span)}");
        }

        OffsetFetchResponse offsets = await _wire.CallAsync<OffsetFetchResponse>(
            new OffsetFetchRequest { Groups = [new() { GroupId = id, Topics = null }] }, version: 8);
        foreach (OffsetFetchResponse.OffsetFetchResponseTopics topic in
            offsets.Groups[0].Topics.OrderBy(topic => topic.Name, StringComparer.Ordinal))
        {
            foreach (OffsetFetchResponse.OffsetFetchResponsePartitions at in topic.Partitions.OrderBy(at => at.PartitionIndex))
            {
                Line($"  committed {topic.Name}/{at.PartitionIndex} {at.CommittedOffset}" +
                    $" epoch {at.CommittedLeaderEpoch} {Quote(at.Metadata)}");
            }
        }
    }

    private void Write(PartitionContents partition)
    {
        Line($"  partition {partition.Partition} from {partition.Start} to {partition.End}");
        using var scratch = new PooledBufferWriter();
        foreach (ReadOnlyMemory<byte> batch in partition.Batches)
        {
            var header = new RecordBatchHeader(batch.Span);
            Line($"    batch {header.BaseOffset} to {header.LastOffset} {header.Compression}" +
                $" {header.TimestampType} up to {header.MaxTimestamp} epoch {header.PartitionLeaderEpoch}" +
                $" producer {header.ProducerId}/{header.ProducerEpoch} from {header.BaseSequence}" +
                $" crc {header.Crc:x8}");
            Assert.True(RecordBatchPayload.TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload).IsOk);
            var reader = new RecordReader(payload.Span, header.Count);
            while (reader.TryRead(out RecordView record))
            {
                string key = Show(record.Key, record.IsKeyNull);
                Line($"      {header.BaseOffset + record.OffsetDelta} at {header.BaseTimestamp + record.TimestampDelta}" +
                    $" {key} = {Show(record.Value, record.IsValueNull)}{ShowHeaders(payload, record)}");
            }

            Assert.True(reader.Problem.IsOk);
        }
    }

    private static string ShowHeaders(ReadOnlyMemory<byte> payload, RecordView record) => string.Concat(
        RecordReader.ReadHeaders(payload, record.HeadersOffset, record.HeaderCount).Select(header =>
            $" {Show(Encoding.UTF8.GetBytes(header.Key), false)}:{Show(header.Value.GetValueOrDefault().Span, header.Value is null)}"));

    /// <summary>Short ones as text, longer ones by length and digest.</summary>
    private static string Show(ReadOnlySpan<byte> bytes, bool isNull) =>
        isNull ? "null"
        : bytes.Length <= 32 ? Quote(Encoding.UTF8.GetString(bytes))
        : $"{bytes.Length}#{Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 8))}";

    private static string Quote(string? text) => JsonSerializer.Serialize(text, Readable);

    private void Line(string line) => _text.Append(line).Append('\n');
}

/// <param name="Start">The first offset that is there.</param>
/// <param name="End">The offset of the next record.</param>
internal sealed record PartitionContents(string Topic, int Partition, long Start, long End, IReadOnlyList<ReadOnlyMemory<byte>> Batches)
{
    /// <summary>The newest batch of each idempotent producer.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> LastBatchOfEachProducer() => Batches
        .Where(batch => new RecordBatchHeader(batch.Span).HasProducerId)
        .GroupBy(batch => new RecordBatchHeader(batch.Span).ProducerId)
        .Select(batches => batches.Last());

    /// <summary>Such a batch as its producer sent it: offset and leader epoch are the broker's, and outside of the CRC.</summary>
    public static byte[] AsSent(ReadOnlyMemory<byte> batch)
    {
        byte[] sent = batch.ToArray();
        BinaryPrimitives.WriteInt64BigEndian(sent, 0);
        BinaryPrimitives.WriteInt32BigEndian(sent.AsSpan(12), -1);
        return sent;
    }
}
