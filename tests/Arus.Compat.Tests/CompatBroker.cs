using System.Globalization;
using Arus.Server.Tests;
using Confluent.Kafka;
using Confluent.Kafka.Admin;

namespace Arus.Compat.Tests;

/// <summary>A server of this checkout for all tests of clients, and what they do with it again and again.</summary>
public sealed class CompatBroker : IAsyncLifetime
{
    public const int Partitions = 4;

    /// <summary>How long anything may take before it counts as lost.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private static int s_names;

    private readonly string _directory = Directory.CreateTempSubdirectory("arus-compat-").FullName;
    private ServerProcess _server = null!;

    public IAdminClient Admin { get; private set; } = null!;

    public ClientConfig Client { get; private set; } = null!;

    public static string UniqueName(string prefix) => $"{prefix}-{Interlocked.Increment(ref s_names)}";

    public async Task InitializeAsync()
    {
        _server = await ServerProcess.StartAsync(
            ServerProcess.Ports.Free(), _directory, "--arus.flush=os", "--group.initial.rebalance.delay.ms=0");
        Client = new ClientConfig { BootstrapServers = $"127.0.0.1:{_server.ServerPorts.Kafka}" };
        Admin = new AdminClientBuilder(Client).Build();
    }

    public async Task DisposeAsync()
    {
        Admin.Dispose();
        await _server.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    public async Task<string> CreateTopicAsync(string prefix, int partitions = Partitions)
    {
        string topic = UniqueName(prefix);
        await Admin.CreateTopicsAsync([new TopicSpecification { Name = topic, NumPartitions = partitions, ReplicationFactor = 1 }])
            .WaitAsync(Limit);
        return topic;
    }

    /// <summary>Writes the records of these numbers, see <see cref="NumberedRecord"/>, and waits for every acknowledgement.</summary>
    public async Task<IReadOnlyList<DeliveryResult<byte[], byte[]>>> ProduceAsync(
        string topic, int first, int count, Action<ProducerConfig>? configure = null, int? partition = null)
    {
        var config = new ProducerConfig(Client) { LingerMs = 5 };
        configure?.Invoke(config);
        using IProducer<byte[], byte[]> producer = new ProducerBuilder<byte[], byte[]>(config).Build();
        Task<DeliveryResult<byte[], byte[]>>[] deliveries =
        [
            .. Enumerable.Range(first, count).Select(number => partition is { } one
                ? producer.ProduceAsync(new Confluent.Kafka.TopicPartition(topic, one), NumberedRecord.Make(number))
                : producer.ProduceAsync(topic, NumberedRecord.Make(number))),
        ];
        return await Task.WhenAll(deliveries).WaitAsync(Limit);
    }

    /// <summary>Reads all partitions from the start until each number of [0, count) came once, in order within a partition.</summary>
    public void ReadAll(string topic, int partitions, int count, Action<ConsumerConfig>? configure = null)
    {
        var config = new ConsumerConfig(Client) { GroupId = "reader", EnableAutoCommit = false, CheckCrcs = true };
        configure?.Invoke(config);
        using IConsumer<byte[], byte[]> consumer = new ConsumerBuilder<byte[], byte[]>(config).Build();
        consumer.Assign(Enumerable.Range(0, partitions).Select(p => new TopicPartitionOffset(topic, p, Offset.Beginning)));
        using var deadline = new CancellationTokenSource(Limit);
        int[] last = [.. Enumerable.Repeat(-1, partitions)];
        var seen = new HashSet<int>();
        while (seen.Count < count)
        {
            ConsumeResult<byte[], byte[]> result = consumer.Consume(deadline.Token);
            int number = NumberedRecord.Check(result.Message);
            Assert.InRange(number, last[result.Partition] + 1, count - 1);
            Assert.True(seen.Add(number), $"Record {number} came twice.");
            last[result.Partition] = number;
        }
    }
}

/// <summary>Records whose content follows from their number: some compress well, some do not, some are empty.</summary>
internal static class NumberedRecord
{
    public static Message<byte[], byte[]> Make(int number) => new()
    {
        Key = Key(number),
        Value = Value(number),
        Headers = [new Header("number", Key(number)), new Header("null", null), new Header("number", [])],
    };

    /// <summary>The number of a record that is as it was made.</summary>
    public static int Check(Message<byte[], byte[]> message)
    {
        int number = int.Parse(message.Key, CultureInfo.InvariantCulture);
        Assert.Equal(Value(number), message.Value);
        Assert.Equal(
            [("number", Key(number)), ("null", null), ("number", [])],
            message.Headers.Select(header => (header.Key, (byte[]?)header.GetValueBytes())));
        return number;
    }

    private static byte[] Key(int number) => [.. number.ToString(CultureInfo.InvariantCulture).Select(digit => (byte)digit)];

    private static byte[] Value(int number)
    {
        byte[] value = new byte[number % 11 == 0 ? 0 : number * 37 % 1500];
        if (number % 3 == 0)
            new Random(number).NextBytes(value);
        else
            Array.Fill(value, (byte)('a' + (number % 26)));

        return value;
    }
}

[CollectionDefinition(Name)]
public sealed class CompatCollection : ICollectionFixture<CompatBroker>
{
    public const string Name = "clients of one server";
}
