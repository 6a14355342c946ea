namespace Arus.Protocol.Tests;

public sealed class RoundTripTests
{
    private const int Seeds = 5;

    public static TheoryData<ApiKey> Apis() => new(ApiCatalog.All.Select(api => api.Key));

    [Theory, MemberData(nameof(Apis))]
    public void Every_version_reads_what_it_wrote(ApiKey key)
    {
        ForEach(key, (api, isRequest, version, seed) =>
        {
            IApiMessage message = new MessageFiller(seed).Create(api, isRequest);
            byte[] bytes = MessageCodec.Write(message, version);

            IApiMessage again = MessageCodec.Read(api, isRequest, version, bytes, out int remaining);

            Assert.Equal(0, remaining);
            Assert.Equal(Hex.Format(bytes), Hex.Format(MessageCodec.Write(again, version)));
        });
    }

    [Theory, MemberData(nameof(Apis))]
    public void Counting_gives_the_size_of_writing(ApiKey key)
    {
        ForEach(key, (api, isRequest, version, seed) =>
        {
            IApiMessage message = new MessageFiller(seed).Create(api, isRequest);
            var measure = default(WireWriter);
            message.Write(ref measure, version);

            Assert.Equal(MessageCodec.Write(message, version).Length, measure.Length);
        });
    }

    [Theory, MemberData(nameof(Apis))]
    public void A_strict_prefix_is_a_clean_error(ApiKey key)
    {
        ForEach(key, (api, isRequest, version, seed) =>
        {
            byte[] bytes = MessageCodec.Write(new MessageFiller(seed, maxBytes: 8).Create(api, isRequest), version);
            for (int length = 0; length < bytes.Length; length++)
            {
                var error = Assert.Throws<ProtocolException>(
                    () => MessageCodec.Read(api, isRequest, version, bytes.AsMemory(0, length), out _));
                Assert.Equal(version, error.Version);
                Assert.StartsWith(key.ToString(), error.Api);
            }
        }, seeds: 1);
    }

    [Theory, MemberData(nameof(Apis))]
    public void A_version_outside_of_the_range_is_refused(ApiKey key)
    {
        ApiDescriptor api = ApiCatalog.Find(key)!;
        foreach (int version in new[] { api.MinVersion - 1, api.MaxVersion + 1, short.MaxValue, short.MinValue })
        {
            Assert.Throws<ProtocolException>(() => MessageCodec.Read(api, true, (short)version, new byte[100], out _));
            Assert.Throws<ProtocolException>(() => MessageCodec.Write(new MessageFiller(1).Create(api, true), (short)version));
        }
    }

    [Theory, MemberData(nameof(Apis))]
    public void Every_property_is_carried_by_some_version_and_by_no_version_wrongly(ApiKey key)
    {
        ApiDescriptor api = ApiCatalog.Find(key)!;
        foreach (bool isRequest in new[] { true, false })
        {
            IApiMessage message = new MessageFiller(7).Create(api, isRequest);
            var comparison = new PropertyComparison();
            for (short version = api.MinVersion; version <= api.MaxVersion; version++)
            {
                byte[] bytes = MessageCodec.Write(message, version);
                comparison.Compare(message, MessageCodec.Read(api, isRequest, version, bytes, out _), $"{key} v{version}");
            }

            Assert.Equal(comparison.Seen.Order(), comparison.Carried.Order());
        }
    }

    /// <summary>The defaults of a message can be said in every version, unless null stands for something.</summary>
    [Theory, MemberData(nameof(Apis))]
    public void An_empty_message_survives(ApiKey key)
    {
        foreach (var (api, isRequest, version) in MessageCodec.All().Where(m => m.Api.Key == key))
        {
            Type type = new MessageFiller(0).Create(api, isRequest).GetType();
            byte[] bytes;
            try
            {
                bytes = MessageCodec.Write((IApiMessage)Activator.CreateInstance(type)!, version);
            }
            catch (ProtocolException e)
            {
                Assert.Contains("null is not allowed", e.Message);
                continue;
            }

            IApiMessage again = MessageCodec.Read(api, isRequest, version, bytes, out int remaining);
            Assert.Equal(0, remaining);
            Assert.Equal(Hex.Format(bytes), Hex.Format(MessageCodec.Write(again, version)));
        }
    }

    private static void ForEach(ApiKey key, Action<ApiDescriptor, bool, short, int> check, int seeds = Seeds)
    {
        foreach (var (api, isRequest, version) in MessageCodec.All().Where(m => m.Api.Key == key))
        {
            for (int seed = 1; seed <= seeds; seed++)
            {
                check(api, isRequest, version, seed);
            }
        }
    }
}
