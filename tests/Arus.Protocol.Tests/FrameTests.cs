using System.Buffers;

namespace Arus.Protocol.Tests;

public sealed class FrameTests
{
    [Fact]
    public void A_request_has_its_size_and_header()
    {
        var output = new ArrayBufferWriter<byte>();

        Frames.Write(output, new MetadataRequest(), version: 1, correlationId: 7, clientId: "me");

        Assert.Equal(Hex.Format(Hex.Parse("00000010  0003 0001 00000007 0002 6d65  ffffffff")), Hex.Format(output.WrittenSpan));
    }

    [Fact]
    public void A_flexible_request_has_tags_in_its_header()
    {
        var output = new ArrayBufferWriter<byte>();

        Frames.Write(output, new MetadataRequest(), version: 9, correlationId: 7, clientId: null);

        Assert.Equal(Hex.Format(Hex.Parse("00000010  0003 0009 00000007 ffff 00  00 01 00 00 00")), Hex.Format(output.WrittenSpan));
    }

    [Theory]
    [InlineData(0, "0000000a  00000007  0000 00000000")]
    [InlineData(3, "0000000c  00000007  0000 01 00000000 00")]
    public void The_response_header_of_ApiVersions_never_has_tags(short version, string hex)
    {
        var output = new ArrayBufferWriter<byte>();

        Frames.Write(output, new ApiVersionsResponse(), version, 7);

        Assert.Equal(Hex.Format(Hex.Parse(hex)), Hex.Format(output.WrittenSpan));
    }

    [Fact]
    public void A_response_is_read_back_with_its_header()
    {
        var output = new ArrayBufferWriter<byte>();
        int written = Frames.Write(output, new HeartbeatResponse { ErrorCode = ErrorCode.IllegalGeneration }, 4, 99);
        Assert.Equal(written, output.WrittenCount);

        var response = Frames.ReadResponse<HeartbeatResponse>(output.WrittenMemory[Frames.SizePrefix..], 4, out int correlationId);

        Assert.Equal(99, correlationId);
        Assert.Equal(ErrorCode.IllegalGeneration, response.ErrorCode);
    }

    [Fact]
    public void Records_are_slices_of_the_frame()
    {
        var output = new ArrayBufferWriter<byte>();
        var request = new ProduceRequest { TopicData = [new() { PartitionData = [new() { Records = new byte[] { 1, 2, 3 } }] }] };
        Frames.Write(output, request, 7, 1, null);
        byte[] frame = output.WrittenSpan[Frames.SizePrefix..].ToArray();

        var reader = new WireReader(frame);
        RequestHeader header = RequestHeader.Read(ref reader);
        ProduceRequest read = ProduceRequest.Read(ref reader, header.ApiVersion);
        Array.Fill(frame, (byte)9);

        Assert.Equal(7, header.ApiVersion);
        Assert.Equal(new byte[] { 9, 9, 9 }, read.TopicData[0].PartitionData[0].Records.ToMemory().ToArray());
    }

    /// <summary>Kestrel's pipe hands out memory of 4 KiB; fields and records may not fit into what is left of a piece.</summary>
    [Fact]
    public void Small_pieces_of_output_memory_give_the_same_bytes()
    {
        foreach ((MessageKind kind, short version) in MessageKind.All.SelectMany(kind => kind.Versions.Select(version => (kind, version))))
        {
            IMessage message = kind.Fill(seed: 3);
            var pieces = new PieceWriter(550);
            var writer = new WireWriter(pieces);
            message.Write(ref writer, version);
            writer.Flush();

            Assert.Equal(Hex.Format(MessageKind.Write(message, version)), Hex.Format(pieces.ToArray()));
        }
    }

    /// <summary>The header's tagged fields are only read where the version is known to have them.</summary>
    [Theory]
    [InlineData("0001 0011 00000007 ffff", 0)]
    [InlineData("0001 0013 00000007 ffff", 1)]
    [InlineData("0001 0003 00000007 ffff", 1)]
    [InlineData("0012 0063 00000007 ffff", 1)]
    [InlineData("7fff 0000 00000007 ffff", 1)]
    [InlineData("ffff 0000 00000007 ffff", 1)]
    [InlineData("0004 0000 00000007 ffff", 1)]
    public void The_header_of_an_unknown_api_or_version_ends_behind_the_client_id(string hex, int remaining)
    {
        var reader = new WireReader(Hex.Parse(hex + "00"));

        RequestHeader header = RequestHeader.Read(ref reader);

        Assert.Equal((7, remaining), (header.CorrelationId, reader.Remaining));
    }

    [Fact]
    public void Unknown_tagged_fields_are_skipped()
    {
        var reader = new WireReader(Hex.Parse("02 67 00000003 02 6d 00  02 05 03 010203 7f 00"));

        HeartbeatRequest request = HeartbeatRequest.Read(ref reader, 4);

        Assert.Equal("m", request.MemberId);
        Assert.Equal(0, reader.Remaining);
    }

    [Theory]
    [InlineData("00000000 7fffffff", "Topics")]
    [InlineData("00000000 000f4241", "Topics")]
    [InlineData("00000000 ffffffff", "Topics")]
    [InlineData("00000000 00000001 ffff 00000000", "Topics.Name")]
    [InlineData("00000000 00000001 0001 74 00000001 0000", "Topics.Partitions")]
    public void An_error_names_message_version_and_field(string hex, string field)
    {
        var error = Assert.Throws<ProtocolException>(() =>
        {
            var reader = new WireReader(Hex.Parse(hex));
            ListOffsetsRequest.Read(ref reader, 1);
        });

        Assert.StartsWith($"ListOffsetsRequest v1, field {field}: ", error.Message);
    }

    [Fact]
    public void What_a_version_cannot_say_is_refused_before_a_byte_is_written()
    {
        var output = new ArrayBufferWriter<byte>();

        Assert.Throws<ProtocolException>(() => Frames.Write(output, new MetadataRequest(), 0, 1, null));
        var tooLong = new HeartbeatRequest { GroupId = new string('x', 40_000) };
        Assert.Throws<ProtocolException>(() => Frames.Write(output, tooLong, 0, 1, null));

        Assert.Equal(0, output.WrittenCount);
    }

    private sealed class PieceWriter(int size) : IBufferWriter<byte>
    {
        private readonly List<byte> _all = [];
        private byte[] _piece = [];

        public void Advance(int count) => _all.AddRange(_piece.AsSpan(0, count));

        public Memory<byte> GetMemory(int sizeHint = 0) => _piece = new byte[Math.Max(size, sizeHint)];

        public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

        public byte[] ToArray() => [.. _all];
    }
}
