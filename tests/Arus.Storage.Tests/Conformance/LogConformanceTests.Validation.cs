using Arus.Compression;

namespace Arus.Storage.Tests.Conformance;

/// <content>
/// What a leader refuses of a producer's batches, and what it corrects. The codes are those that Apache Kafka 4.4.0 gave for the same
/// bytes.
/// </content>
public abstract partial class LogConformanceTests
{
    private const short LogAppendTimeBit = 0x08;
    private const long Day = 86_400_000;

    public static TheoryData<CompressionType> Packed =>
        [CompressionType.Gzip, CompressionType.Snappy, CompressionType.Lz4, CompressionType.Zstd];

    public static TheoryData<CompressionType> AllCodecs =>
        [CompressionType.None, CompressionType.Gzip, CompressionType.Snappy, CompressionType.Lz4, CompressionType.Zstd];

    private static byte[][] Two => RawBatch.Numbered(2);

    [Theory, MemberData(nameof(AllCodecs))]
    public async Task What_does_not_fit_its_header_is_refused(CompressionType codec)
    {
        IPartitionLog log = await host.OpenAsync();
        RawBatch good = new(Two) { Compression = codec };
        byte[] joined = [.. Two[0], .. Two[1]];
        (string What, RawBatch Batch)[] cases =
        [
            ("base offset 5", good with { BaseOffset = 5 }),
            ("base offset -1", good with { BaseOffset = -1 }),
            ("no records", new RawBatch { Compression = codec, Count = 0, LastOffsetDelta = 0 }),
            ("no records, and says so", new RawBatch { Compression = codec, Count = 0, LastOffsetDelta = -1 }),
            ("none of one", new RawBatch { Compression = codec, Count = 1, LastOffsetDelta = 0 }),
            ("count -1", good with { Count = -1 }),
            ("count 1 of two", good with { Count = 1, LastOffsetDelta = 0 }),
            ("count 3 of two", good with { Count = 3, LastOffsetDelta = 2 }),
            ("count of 2^31-1", good with { Count = int.MaxValue, LastOffsetDelta = int.MaxValue - 1 }),
            ("last delta 5 of two", good with { LastOffsetDelta = 5 }),
            ("last delta -1", good with { LastOffsetDelta = -1 }),
            ("last delta 2^31-1", good with { LastOffsetDelta = int.MaxValue }),
            ("deltas 0 2 that the header counts",
                new RawBatch(RawBatch.Record(0), RawBatch.Record(2)) { Compression = codec, LastOffsetDelta = 2 }),
            ("control", good with { Attributes = 0x20 }),
            ("a producer id without a sequence", good with { Producer = (7, 0, -1) }),
            ("a byte behind the records", good with { Payload = RawBatch.Compress(codec, [.. joined, 0]) }),
            ("a record that is cut", good with { Payload = RawBatch.Compress(codec, joined[..^1]) }),
            ("a negative header count", good with { Payload = RawBatch.Compress(codec, [.. joined[..^1], 1]) }),
        ];
        foreach ((string what, RawBatch batch) in cases)
        {
            LogAppendResult result = await log.AppendOneAsync(batch);
            Assert.True(result.Error == ErrorCode.InvalidRecord, $"{what}: {result}");
            Assert.Null(result.RecordErrors);
        }

        Assert.Equal(0, log.LogEndOffset);
        await log.MustAppendAsync(good);
    }

    [Theory, MemberData(nameof(Packed))]
    public async Task What_cannot_be_opened_is_refused(CompressionType codec)
    {
        IPartitionLog log = await host.OpenAsync();
        RawBatch good = new(Two) { Compression = codec };
        byte[] packed = RawBatch.Compress(codec, [.. Two[0], .. Two[1]]);
        await Check("garbage", good with { Payload = [.. "this is not packed at all"u8] });
        await Check("not packed", good with { Payload = [.. Two[0], .. Two[1]] });
        for (int length = 1; length < packed.Length; length++)
        {
            // The frame of snappy may end after its header, and then there is no record in it.
            ErrorCode expected = codec == CompressionType.Snappy && length == 16 ? ErrorCode.InvalidRecord : ErrorCode.UnknownServerError;
            await Check($"cut to {length}", good with { Payload = packed[..length] }, expected);
        }

        await Check("empty", good with { Payload = [] },
            codec == CompressionType.Zstd ? ErrorCode.InvalidRecord : ErrorCode.UnknownServerError);
        await Check("an unknown codec", good with { Compression = CompressionType.None, Attributes = 5 });
        Assert.Equal(0, log.LogEndOffset);

        async Task Check(string what, RawBatch batch, ErrorCode expected = ErrorCode.UnknownServerError)
        {
            LogAppendResult result = await log.AppendOneAsync(batch);
            Assert.True(result.Error == expected, $"{what}: {result}");
        }
    }

    [Fact]
    public async Task One_batch_is_sent_at_a_time_and_bytes_behind_it_are_left_out()
    {
        IPartitionLog log = await host.OpenAsync();
        byte[] one = Batches.Of("a").ToArray();
        Assert.Equal(ErrorCode.InvalidRecord, (await log.AppendOneAsync((byte[])[.. one, .. one])).Error);
        Assert.Equal(ErrorCode.CorruptMessage, (await log.AppendOneAsync((byte[])[.. one, .. Enumerable.Repeat((byte)'z', 17)])).Error);
        byte[] old = [.. one];
        old[16] = 1;
        Assert.Equal(ErrorCode.InvalidRecord, (await log.AppendOneAsync(old)).Error);
        Assert.Equal(0, await log.MustAppendAsync((byte[])[.. one, .. "zz"u8]));
        Assert.Equal(1, await log.MustAppendAsync((byte[])[.. one, .. one[..^1]]));
        Assert.Equal(["a", "a"], await log.ReadValuesAsync());
    }

    [Theory, MemberData(nameof(AllCodecs))]
    public async Task The_greatest_timestamp_is_that_of_the_records(CompressionType codec)
    {
        IPartitionLog log = await host.OpenAsync();
        RawBatch sent = new(RawBatch.Record(0, timestampDelta: 700), RawBatch.Record(1, timestampDelta: -500)) { Compression = codec };
        long[] claims = [0, -1, Batches.Time, Batches.Time + 700, Batches.Time + (3 * Day)];
        foreach (long claimed in claims)
            await log.MustAppendAsync(sent with { MaxTimestamp = claimed, Attributes = LogAppendTimeBit });

        Assert.All(await ReadHeadersAsync(log), header => Assert.Equal((Batches.Time + 700, TimestampType.CreateTime), header));
        Assert.Equal(2 * claims.Length, (await log.ReadAllAsync()).Count);
        Assert.Equal(new LogTimestamp(0, Batches.Time + 700, 1), await log.FindMaxTimestampAsync());
        Assert.Equal(new LogTimestamp(0, Batches.Time + 700, 1), await log.FindByTimestampAsync(Batches.Time + 1));
    }

    [Fact]
    public async Task A_batch_without_timestamps_has_none()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(new RawBatch(Two) { BaseTimestamp = -2 });
        await log.MustAppendAsync(new RawBatch(Two) { BaseTimestamp = -1 });
        Assert.All(await ReadHeadersAsync(log), header => Assert.Equal(-1, header.MaxTimestamp));
    }

    [Fact]
    public async Task Offset_deltas_that_are_not_compressed_are_numbered_anew()
    {
        IPartitionLog log = await host.OpenAsync();
        int[][] all = [[0, 0], [1, 0], [-1, -1], [500, 500_000], [0, 2]];
        foreach (int[] deltas in all)
        {
            await log.MustAppendAsync(new RawBatch(
                RawBatch.Record(deltas[0], "first", "k", timestampDelta: 5), RawBatch.Record(deltas[1], "second"))
                { Producer = (9, 3, 2 * Array.IndexOf(all, deltas)) });
        }

        List<(long Offset, string? Key, string? Value)> records = await log.ReadAllAsync();
        Assert.Equal(
            all.SelectMany((_, i) => new (long, string?, string?)[] { (2 * i, "k", "first"), ((2 * i) + 1, null, "second") }), records);
        Assert.Equal(2 * all.Length, log.LogEndOffset);
        Assert.Equal(new LogTimestamp(0, Batches.Time + 5, 1), await log.FindMaxTimestampAsync());
        LogReadResult read = await log.ReadAsync(8, 1 << 20, true);
        var header = new RecordBatchHeader(read.Records[0].Span);
        Assert.Equal((9L, 3, 8), (header.ProducerId, header.ProducerEpoch, header.BaseSequence));
    }

    [Theory, MemberData(nameof(Packed))]
    public async Task Wrong_offset_deltas_that_are_compressed_are_refused(CompressionType codec)
    {
        IPartitionLog log = await host.OpenAsync();
        foreach (int[] deltas in (int[][])[[0, 0], [1, 0], [1, 2]])
        {
            LogAppendResult result = await log.AppendOneAsync(
                new RawBatch(RawBatch.Record(deltas[0]), RawBatch.Record(deltas[1])) { Compression = codec });
            Assert.Equal(ErrorCode.UnknownServerError, result.Error);
        }
    }

    [Theory, MemberData(nameof(AllCodecs))]
    public async Task Each_records_own_timestamp_must_be_near_the_brokers(CompressionType codec)
    {
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(
            ("message.timestamp.before.max.ms", $"{2 * Day}"), ("message.timestamp.after.max.ms", "3600000")));
        long now = NowMs;
        LogAppendResult result = await log.AppendOneAsync(At(0, 3_600_001, 0, -(2 * Day) - 1));
        Assert.Equal(ErrorCode.InvalidTimestamp, result.Error);
        Assert.Equal([1, 3], result.RecordErrors!.Select(error => error.RecordIndex));
        Assert.Contains("message.timestamp.after.max.ms=3600000", result.RecordErrors![0].Message, StringComparison.Ordinal);
        Assert.Contains("message.timestamp.before.max.ms=172800000", result.RecordErrors[1].Message, StringComparison.Ordinal);

        // The header's claim is nobody's timestamp, and -1 stands for no timestamp.
        await log.MustAppendAsync(At(0, 3_600_000, -2 * Day) with { MaxTimestamp = now + (9 * Day) });
        await log.MustAppendAsync(At(0, -now - 1));
        Assert.Equal(ErrorCode.InvalidTimestamp, (await log.AppendOneAsync(At(0, -now - 2))).Error);
        Assert.Equal(ErrorCode.InvalidTimestamp, (await log.AppendOneAsync(At(long.MaxValue))).Error);

        RawBatch At(params long[] deltas) =>
            new([.. deltas.Select((delta, i) => RawBatch.Record(i, timestampDelta: delta))]) { BaseTimestamp = now, Compression = codec };
    }

    [Fact]
    public async Task Producers_may_not_claim_the_brokers_timestamp_type_where_it_is_in_use()
    {
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(("message.timestamp.type", "LogAppendTime")));
        LogAppendResult result = await log.AppendOneAsync(new RawBatch(Two) { Attributes = LogAppendTimeBit });
        Assert.Equal(ErrorCode.InvalidTimestamp, result.Error);
        Assert.Equal([0, 1], result.RecordErrors!.Select(error => error.RecordIndex));

        // The records' own timestamps count for nothing there, and bits that mean nothing are cleared.
        await log.MustAppendAsync(new RawBatch(Two) { BaseTimestamp = long.MaxValue, Attributes = 0x7F80 });
        var header = new RecordBatchHeader((await log.ReadAsync(0, 1000, true)).Records[0].Span);
        Assert.Equal((NowMs, RecordBatchAttributes.LogAppendTime), (header.MaxTimestamp, header.Attributes));
    }

    [Theory, MemberData(nameof(AllCodecs))]
    public async Task A_compacted_topic_names_every_record_without_a_key(CompressionType codec)
    {
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(("cleanup.policy", "compact")));
        RawBatch batch = new(RawBatch.Record(0), RawBatch.Record(1, key: "k"), RawBatch.Record(2)) { Compression = codec };
        LogAppendResult result = await log.AppendOneAsync(batch);
        Assert.Equal(ErrorCode.InvalidRecord, result.Error);
        Assert.Equal([0, 2], result.RecordErrors!.Select(error => error.RecordIndex));

        // With a timestamp at fault beside them, Kafka names both and answers with the timestamp's code.
        batch = new(RawBatch.Record(0), RawBatch.Record(1, key: "k", timestampDelta: 9 * Day)) { Compression = codec };
        result = await log.AppendOneAsync(batch);
        Assert.Equal(ErrorCode.InvalidTimestamp, result.Error);
        Assert.Equal([0, 1], result.RecordErrors!.Select(error => error.RecordIndex));
        await log.MustAppendAsync(new RawBatch(RawBatch.Record(0, value: null, key: "k")) { Compression = codec });
        await log.MustAppendAsync(new RawBatch(RawBatch.Record(0, key: "")) { Compression = codec });
    }

    [Fact]
    public async Task What_only_Kafkas_other_clients_could_read_is_refused()
    {
        IPartitionLog log = await host.OpenAsync();
        byte[] frame = RawBatch.Compress(CompressionType.Lz4, [.. Two[0], .. Two[1]]);
        RawBatch batch = new(Two) { Compression = CompressionType.Lz4 };
        frame[4] = 0x40; // Version 01, linked blocks; and the header checksum that goes with it.
        frame[6] = (byte)(K4os.Hash.xxHash.XXH32.DigestOf(frame.AsSpan(4, 2)) >> 8);
        Assert.Equal(ErrorCode.UnknownServerError, (await log.AppendOneAsync(batch with { Payload = frame })).Error);
        frame[4] = 0x60;
        frame[6] = (byte)(K4os.Hash.xxHash.XXH32.DigestOf(frame.AsSpan(4, 2)) >> 8);
        await log.MustAppendAsync(batch with { Payload = [.. frame, .. "zzzz"u8] });
    }

    [Fact]
    public async Task Producer_ids_below_zero_are_none_and_any_epoch_is_taken()
    {
        IPartitionLog log = await host.OpenAsync();
        await log.MustAppendAsync(new RawBatch(Two) { Producer = (-2, 0, 0) });
        await log.MustAppendAsync(new RawBatch(Two) { Producer = (-1, 0, 0) });
        await log.MustAppendAsync(new RawBatch(Two) { Producer = (5, -1, 0) });
        Assert.Equal(6, log.LogEndOffset);
        Assert.Equal(ErrorCode.InvalidProducerEpoch, (await log.AppendOneAsync(new RawBatch(Two) { Producer = (5, -2, 0) })).Error);
        log = await host.ReopenAsync();
        Assert.Equal(4, await log.MustAppendAsync(new RawBatch(Two) { Producer = (5, -1, 0) }));
    }

    [Theory]
    [InlineData("uncompressed", CompressionType.None)]
    [InlineData("gzip", CompressionType.Gzip)]
    [InlineData("snappy", CompressionType.Snappy)]
    [InlineData("lz4", CompressionType.Lz4)]
    [InlineData("zstd", CompressionType.Zstd)]
    public async Task A_topic_with_a_compression_type_is_stored_in_it(string type, CompressionType stored)
    {
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(("compression.type", type)));
        foreach (CompressionType codec in Enum.GetValues<CompressionType>())
        {
            RawBatch batch = new(
                RawBatch.Record(0, "first", "k", timestampDelta: 5, attributes: 1), RawBatch.Record(1, "second", timestampDelta: 2))
                { Compression = codec, Attributes = 0x40, Producer = (9, 3, 2 * (int)codec) };
            long offset = await log.MustAppendAsync(batch);
            ReadOnlyMemory<byte> read = (await log.ReadAsync(offset, 1, true)).Records.Single();
            Assert.Equal(ValidationResult.Ok, RecordBatches.Validate(read.Span));
            var header = new RecordBatchHeader(read.Span);
            Assert.Equal((stored, codec == stored), (header.Compression, header.HasDeleteHorizon));
            Assert.Equal(Batches.Time + (codec == stored ? 0 : 5), header.BaseTimestamp);
            Assert.Equal(Batches.Time + 5, header.MaxTimestamp);
            Assert.Equal((9L, 3, 2 * (int)codec), (header.ProducerId, header.ProducerEpoch, header.BaseSequence));

            // Offset deltas are numbered anew where the records are written anew, and such records have no odd timestamps.
            LogAppendResult odd = await log.AppendOneAsync(new RawBatch(RawBatch.Record(3), RawBatch.Record(3)) { Compression = codec });
            bool isRefused = codec == stored && codec != CompressionType.None;
            Assert.Equal(isRefused ? ErrorCode.UnknownServerError : ErrorCode.None, odd.Error);
            odd = await log.AppendOneAsync(new RawBatch(Two) { Compression = codec, BaseTimestamp = -2 });
            Assert.Equal(codec == stored ? ErrorCode.None : ErrorCode.UnknownServerError, odd.Error);
        }

        List<(long Offset, string? Key, string? Value)> records = await log.ReadAllAsync();
        Assert.Equal(Enumerable.Range(0, records.Count), records.Select(record => (int)record.Offset));
        Assert.Equal(5, records.Count(record => record is (_, "k", "first")));
    }

    [Fact]
    public async Task What_is_compressed_anew_must_fit_too()
    {
        RawBatch batch = new(RawBatch.Record(0, new string('x', 1000))) { Compression = CompressionType.Gzip };
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(("compression.type", "uncompressed"), ("max.message.bytes", "500")));
        Assert.Equal(ErrorCode.MessageTooLarge, (await log.AppendOneAsync(batch)).Error);
        log.Reconfigure(LogExtensions.Config(("compression.type", "zstd"), ("max.message.bytes", "500")));
        await log.MustAppendAsync(batch);
    }

    [Theory, MemberData(nameof(Packed))]
    public async Task A_compressed_record_larger_than_the_limit_is_refused(CompressionType codec)
    {
        IPartitionLog log = await host.OpenAsync(LogExtensions.Config(("max.decompressed.message.bytes", "1000")));
        RawBatch largest = new(RawBatch.Record(0, new string('x', 993)), RawBatch.Record(1, new string('x', 993)));
        RawBatch larger = new(RawBatch.Record(0, new string('x', 994)));
        await log.MustAppendAsync(largest with { Compression = codec });
        await log.MustAppendAsync(larger);
        LogAppendResult result = await log.AppendOneAsync(larger with { Compression = codec });
        Assert.Equal(ErrorCode.InvalidRecord, result.Error);
        Assert.Contains("max.decompressed.message.bytes=1000", result.Message, StringComparison.Ordinal);
    }

    private static async Task<List<(long MaxTimestamp, TimestampType Type)>> ReadHeadersAsync(IPartitionLog log)
    {
        var headers = new List<(long, TimestampType)>();
        long next = 0;
        while (next < log.HighWatermark)
        {
            ReadOnlyMemory<byte> rest = (await log.ReadAsync(next, 1, minOneBatch: true)).Records.Single();
            Assert.Equal(BatchReadStatus.Batch, RecordBatches.TryReadNext(ref rest, int.MaxValue, out ReadOnlyMemory<byte> batch, out _));
            Assert.Equal(ValidationResult.Ok, RecordBatches.Validate(batch.Span));
            var header = new RecordBatchHeader(batch.Span);
            headers.Add((header.MaxTimestamp, header.TimestampType));
            next = header.NextOffset;
        }

        return headers;
    }
}
