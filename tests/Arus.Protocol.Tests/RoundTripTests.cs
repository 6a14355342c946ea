using Arus.Testing;

namespace Arus.Protocol.Tests;

public sealed class RoundTripTests
{
    private const int FreshSeeds = 3;

    public static TheoryData<string> Names() => MessageKind.Names();

    [Theory, MemberData(nameof(Names))]
    public void Every_version_reads_what_it_wrote(string name) => ForEach(name, FreshSeeds, (kind, version, seed) =>
    {
        byte[] bytes = MessageKind.Write(kind.Fill(seed), version);

        IMessage again = kind.Read(bytes, version, out int remaining);

        Assert.Equal(0, remaining);
        Assert.Equal(Hex.Format(bytes), Hex.Format(MessageKind.Write(again, version)));
    });

    [Theory, MemberData(nameof(Names))]
    public void Counting_gives_the_size_of_writing(string name) => ForEach(name, FreshSeeds, (kind, version, seed) =>
    {
        IMessage message = kind.Fill(seed);
        byte[] bytes = MessageKind.Write(message, version);

        Assert.Equal(bytes.Length, DataMessages.Measure(message, version));
        Assert.Equal(Hex.Format(bytes), Hex.Format(DataMessages.Write(message, version)));
    });

    [Theory, MemberData(nameof(Names))]
    public void A_strict_prefix_is_a_clean_error(string name) => ForEach(name, 1, (kind, version, seed) =>
    {
        byte[] bytes = MessageKind.Write(kind.Fill(seed, maxBytes: 8), version);
        for (int length = 0; length < bytes.Length; length++)
        {
            var error = Assert.Throws<ProtocolException>(() => kind.Read(bytes.AsMemory(0, length), version, out _));
            Assert.StartsWith($"{name} v{version}", error.Message);
        }
    });

    [Theory, MemberData(nameof(Names))]
    public void A_version_outside_of_the_range_is_refused(string name)
    {
        MessageKind kind = MessageKind.Of(name);
        foreach (int version in new[] { kind.Versions[0] - 1, kind.Versions[^1] + 1, short.MaxValue, short.MinValue })
        {
            Assert.Throws<ProtocolException>(() => kind.Read(new byte[100], (short)version, out _));
            Assert.Throws<ProtocolException>(() => MessageKind.Write(kind.Empty(), (short)version));
        }
    }

    [Theory, MemberData(nameof(Names))]
    public void Every_property_is_carried_by_some_version_and_by_no_version_wrongly(string name) => Seeds.Run(1, seed =>
    {
        MessageKind kind = MessageKind.Of(name);
        IMessage message = kind.Fill(seed);
        var comparison = new PropertyComparison();
        foreach (short version in kind.Versions)
            comparison.Compare(message, kind.Read(MessageKind.Write(message, version), version, out _), $"{name} v{version}");

        Assert.Equal(comparison.Seen.Order(), comparison.Carried.Order());
    }, 7);

    /// <summary>The defaults of a message can be said in every version, unless null stands for something.</summary>
    [Theory, MemberData(nameof(Names))]
    public void An_empty_message_survives(string name)
    {
        MessageKind kind = MessageKind.Of(name);
        foreach (short version in kind.Versions)
        {
            byte[] bytes;
            try
            {
                bytes = MessageKind.Write(kind.Empty(), version);
            }
            catch (ProtocolException e)
            {
                Assert.Contains("null is not allowed", e.Message);
                continue;
            }

            IMessage again = kind.Read(bytes, version, out int remaining);
            Assert.Equal(0, remaining);
            Assert.Equal(Hex.Format(bytes), Hex.Format(MessageKind.Write(again, version)));
        }
    }

    private static void ForEach(string name, int freshSeeds, Action<MessageKind, short, int> check) => Seeds.Run(freshSeeds, seed =>
    {
        MessageKind kind = MessageKind.Of(name);
        foreach (short version in kind.Versions)
            check(kind, version, seed);
    });
}
