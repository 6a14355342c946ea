using System.Buffers;

namespace Arus.Protocol.Tests;

/// <summary>Bytes that real clients sent: each is read to its last byte, and written again it is the same.</summary>
public sealed class CaptureTests
{
    private static readonly string[] Lines =
        [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Captures", "requests.txt")).Where(line => !line.StartsWith('#'))];

    public static TheoryData<string, int, int> Captures()
    {
        var data = new TheoryData<string, int, int>();
        foreach (string[] words in Lines.Select(line => line.Split(' ')))
            data.Add(words[0], int.Parse(words[1]), int.Parse(words[2]));

        return data;
    }

    [Theory, MemberData(nameof(Captures))]
    public void A_captured_request_survives(string client, int key, int version)
    {
        string found = Lines.Single(line => line.StartsWith($"{client} {key} {version} ", StringComparison.Ordinal));
        byte[] frame = Convert.FromHexString(found.Split(' ')[3]);
        var reader = new WireReader(frame);
        RequestHeader header = RequestHeader.Read(ref reader);
        Assert.Equal(((ApiKey)key, (short)version), (header.ApiKey, header.ApiVersion));

        IApiMessage request = ApiCatalog.Find(header.ApiKey)!.ReadRequest(ref reader, header.ApiVersion);

        // librdkafka 2.0 sends a second, empty section of tags behind ListGroups; brokers read past it.
        int behind = client == "librdkafka" && header is { ApiKey: ApiKey.ListGroups, ApiVersion: 4 } ? 1 : 0;
        Assert.Equal(behind, reader.Remaining);

        var output = new ArrayBufferWriter<byte>();
        Frames.Write(output, request, header.ApiVersion, header.CorrelationId, header.ClientId);
        Assert.Equal(Hex.Format(frame.AsSpan(0, frame.Length - behind)), Hex.Format(output.WrittenSpan[Frames.SizePrefix..]));
    }
}
