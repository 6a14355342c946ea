using System.Buffers;
using System.IO.Pipelines;
using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Session;
using Orleans.Serialization.WireProtocol;

namespace Arus.Grains.Tests;

public sealed class RecordBytesCodecTests
{
    private static readonly ServiceProvider Services = new ServiceCollection().AddSerializer().BuildServiceProvider();
    private readonly Serializer<RecordBytes> _serializer = Services.GetRequiredService<Serializer<RecordBytes>>();
    private readonly Serializer<PushedRecords> _pushes = Services.GetRequiredService<Serializer<PushedRecords>>();

    public static TheoryData<int[]> Lengths() => [[], [0], [1], [127, 128], [16_384, 0, 3], [300_000, 70_000]];

    [Theory, MemberData(nameof(Lengths))]
    public async Task Segments_survive_buffers_of_any_size(int[] lengths)
    {
        RecordBytes value = Make(lengths);
        foreach (int block in (int[])[16, 4_096, 1 << 20])
        {
            var pipe = new Pipe(new PipeOptions(new BlockPool(block), minimumSegmentSize: block, pauseWriterThreshold: 0));
            _serializer.Serialize(value, pipe.Writer);
            await pipe.Writer.CompleteAsync();
            ReadResult read = await pipe.Reader.ReadAsync();
            Assert.Equal(value.Select(s => s.ToArray()), _serializer.Deserialize(read.Buffer).Select(s => s.ToArray()));
            PushedRecords pushed = _pushes.Deserialize(read.Buffer);
            Assert.Equal(value.Select(s => s.ToArray()), pushed.Records.Select(s => s.ToArray()));
            pushed.Return();
        }
    }

    [Fact]
    public void The_bytes_are_frozen()
    {
        var bytes = new RecordBytes([new byte[] { 0xAA, 0xBB }, new byte[] { 0xCC }]);
        Assert.Equal("400D050503AABBCC", Convert.ToHexString(_serializer.SerializeToArray(bytes)));
        Assert.Equal("400D050503AABBCC", Convert.ToHexString(_pushes.SerializeToArray(new PushedRecords(bytes))));
    }

    [Fact]
    public void A_message_shares_the_memory_of_its_sender_inside_a_silo()
    {
        RecordBytes value = Make([10]);
        RecordBytes copy = Services.GetRequiredService<DeepCopier>().Copy(value);
        Assert.Equal(value[0], copy[0]);
    }

    [Fact]
    public void A_prefix_of_a_value_is_refused()
    {
        byte[] bytes = _serializer.SerializeToArray(Make([200, 100]));
        for (int length = 1; length < bytes.Length - 1; length++)
        {
            Assert.ThrowsAny<Exception>(() => _serializer.Deserialize(bytes.AsSpan(0, length)));
            Assert.ThrowsAny<Exception>(() => _pushes.Deserialize(bytes.AsSpan(0, length)));
        }
    }

    /// <summary>The field, its number of segments and a segment in turn claim 256 MiB.</summary>
    [Theory]
    [InlineData(0), InlineData(1), InlineData(2)]
    public void A_length_beyond_the_message_is_refused_before_memory_is_taken_for_it(int which)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (SerializerSession session = Services.GetRequiredService<SerializerSessionPool>().GetSession())
        {
            var writer = Writer.Create(buffer, session);
            writer.WriteFieldHeader(0, typeof(RecordBytes), typeof(RecordBytes), WireType.LengthPrefixed);
            for (int i = 0; i < 3; i++)
                writer.WriteVarUInt32(i == which ? 1u << 28 : i == 0 ? 20u : 1u);

            writer.Write(new byte[20]);
            writer.Commit();
        }

        Assert.Throws<InvalidDataException>(() => _serializer.Deserialize(buffer.WrittenSpan));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidDataException>(() => _serializer.Deserialize(buffer.WrittenSpan));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4096); // The exception.
    }

    private static RecordBytes Make(int[] lengths) => new([.. lengths.Select((length, i) =>
    {
        byte[] segment = new byte[length];
        new Random(i).NextBytes(segment);
        return new ReadOnlyMemory<byte>(segment);
    })]);

    /// <summary>Blocks of one size, so that values cross their borders.</summary>
    private sealed class BlockPool(int size) : MemoryPool<byte>
    {
        public override int MaxBufferSize => int.MaxValue;

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1) => new Block(new byte[Math.Max(size, minBufferSize)]);

        protected override void Dispose(bool disposing)
        {
        }

        private sealed record Block(Memory<byte> Memory) : IMemoryOwner<byte>
        {
            public void Dispose()
            {
            }
        }
    }
}
