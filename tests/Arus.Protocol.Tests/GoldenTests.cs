namespace Arus.Protocol.Tests;

/// <summary>Bytes derived by hand from the protocol page's grammars: what is written, and what reads and writes back the same.</summary>
public sealed partial class GoldenTests
{
    private static readonly Guid Id = new("01020304-0506-0708-090a-0b0c0d0e0f10");

    /// <summary>The body's bytes by message and version; blanks separate the fields.</summary>
    private static readonly (IMessage Message, short Version, string Hex)[] Bodies =
    [
        (new ApiVersionsRequest(), 0, ""),
        (new ApiVersionsRequest { ClientSoftwareName = "kc", ClientSoftwareVersion = "1" }, 3, "03 6b63  02 31  00"),
        (new ApiVersionsResponse
        {
            ErrorCode = ErrorCode.UnsupportedVersion,
            ApiKeys = [new() { ApiKey = 18, MinVersion = 0, MaxVersion = 4 }],
        }, 0, "0023  00000001  0012 0000 0004"),
        (new ApiVersionsResponse
        {
            ApiKeys = [new() { ApiKey = 1, MinVersion = 4, MaxVersion = 18 }],
            ThrottleTimeMs = 5,
            FinalizedFeaturesEpoch = 9,
            FinalizedFeatures = [new() { Name = "x", MaxVersionLevel = 2, MinVersionLevel = 1 }],
        }, 3, "0000  02 0001 0004 0012 00  00000005  02  01 08 0000000000000009  02 08 02 02 78 0002 0001 00"),

        (new MetadataRequest(), 1, "ffffffff"),
        (new MetadataRequest { Topics = [] }, 4, "00000000 01"),
        (new MetadataRequest { Topics = [new() { Name = "t" }] }, 0, "00000001 0001 74"),
        (new MetadataRequest { AllowAutoTopicCreation = false, Topics = [new() { TopicId = Id }] }, 12,
            "02 0102030405060708090a0b0c0d0e0f10 00 00  00  00  00"),
        (new MetadataResponse
        {
            Brokers = [new() { NodeId = 1, Host = "h", Port = 9092 }],
            ClusterId = "c",
            ControllerId = 1,
            Topics =
            [
                new() { Name = "t", Partitions = [new() { LeaderId = 1, LeaderEpoch = 3, ReplicaNodes = [1], IsrNodes = [1] }] },
            ],
        }, 7, "00000000  00000001 00000001 0001 68 00002384 ffff  0001 63  00000001  "
            + "00000001 0000 0001 74 00  00000001 0000 00000000 00000001 00000003 00000001 00000001 00000001 00000001 00000000"),

        (new WriteTxnMarkersRequest
        {
            Markers =
            [
                new()
                {
                    ProducerId = 7,
                    ProducerEpoch = 2,
                    TransactionResult = true,
                    Topics = [new() { Name = "t", PartitionIndexes = [3] }],
                    CoordinatorEpoch = 5,
                    TransactionVersion = 2,
                },
            ],
        }, 2, "02  0000000000000007 0002 01  02 02 74 02 00000003 00  00000005 02 00  00"),
        (new WriteTxnMarkersResponse
        {
            Markers =
            [
                new()
                {
                    ProducerId = 7,
                    Topics =
                    [
                        new() { Name = "t", Partitions = [new() { PartitionIndex = 3, ErrorCode = ErrorCode.InvalidProducerEpoch }] },
                    ],
                },
            ],
        }, 1, "02  0000000000000007  02 02 74  02 00000003 002f 00  00  00  00"),
        (new ProduceRequest
        {
            Acks = -1,
            TimeoutMs = 1000,
            TopicData = [new() { Name = "t", PartitionData = [new() { Index = 2, Records = new byte[] { 1, 2, 3 } }] }],
        }, 3, "ffff  ffff  000003e8  00000001 0001 74  00000001 00000002 00000003 010203"),
        (new ProduceRequest
        {
            TransactionalId = "x",
            Acks = 1,
            TimeoutMs = 1,
            TopicData = [new() { TopicId = Id, PartitionData = [new() { Index = 2, Records = Records.Null }] }],
        }, 13, "02 78  0001  00000001  02 0102030405060708090a0b0c0d0e0f10  02 00000002 00 00  00  00"),
        (new ProduceResponse
        {
            Responses = [new() { Name = "t", PartitionResponses = [new() { Index = 2, BaseOffset = 7, LogStartOffset = 0 }] }],
        }, 5, "00000001 0001 74  00000001 00000002 0000 0000000000000007 ffffffffffffffff 0000000000000000  00000000"),
        (new ProduceResponse
        {
            Responses =
            [
                new()
                {
                    Name = "t",
                    PartitionResponses =
                    [
                        new()
                        {
                            ErrorCode = ErrorCode.NotLeaderOrFollower,
                            BaseOffset = -1,
                            CurrentLeader = new() { LeaderId = 2, LeaderEpoch = 4 },
                        },
                    ],
                },
            ],
            NodeEndpoints = [new() { NodeId = 2, Host = "h", Port = 1 }],
        }, 10, "02 02 74  02 00000000 0006 ffffffffffffffff ffffffffffffffff ffffffffffffffff 01 00  01 00 09 00000002 00000004 00  00  "
            + "00000000  01 00 0d 02 00000002 02 68 00000001 00 00"),

        (new FetchRequest
        {
            MaxWaitMs = 500,
            MinBytes = 1,
            MaxBytes = 1024,
            IsolationLevel = 1,
            Topics = [new() { Topic = "t", Partitions = [new() { Partition = 3, FetchOffset = 9, PartitionMaxBytes = 512 }] }],
        }, 4, "ffffffff  000001f4 00000001 00000400 01  00000001 0001 74  00000001 00000003 0000000000000009 00000200"),
        (new FetchRequest
        {
            ReplicaState = new() { ReplicaId = 5, ReplicaEpoch = 6 },
            MaxWaitMs = 500,
            SessionEpoch = 0,
            Topics =
            [
                new() { TopicId = Id, Partitions = [new() { FetchOffset = 9, PartitionMaxBytes = 512, ReplicaDirectoryId = Id }] },
            ],
            RackId = "r",
        }, 17, "000001f4 00000000 7fffffff 00  00000000 00000000  02 0102030405060708090a0b0c0d0e0f10  "
            + "02 00000000 ffffffff 0000000000000009 ffffffff ffffffffffffffff 00000200  01 00 10 0102030405060708090a0b0c0d0e0f10  00  "
            + "01  02 72  01 01 0d 00000005 0000000000000006 00"),
        (new FetchResponse
        {
            Responses =
            [
                new()
                {
                    Topic = "t",
                    Partitions =
                    [
                        new()
                        {
                            HighWatermark = 8,
                            LastStableOffset = 8,
                            LogStartOffset = 0,
                            Records = new Records([new byte[] { 0xaa }, new byte[] { 0xbb, 0xcc }]),
                        },
                    ],
                },
            ],
        }, 11, "00000000 0000 00000000  00000001 0001 74  "
            + "00000001 00000000 0000 0000000000000008 0000000000000008 0000000000000000 ffffffff ffffffff 00000003 aabbcc"),
        (new FetchResponse
        {
            Responses =
            [
                new()
                {
                    TopicId = Id,
                    Partitions =
                    [
                        new()
                        {
                            PartitionIndex = 1,
                            ErrorCode = ErrorCode.FencedLeaderEpoch,
                            HighWatermark = -1,
                            CurrentLeader = new() { LeaderId = 3, LeaderEpoch = 2 },
                            AbortedTransactions = [new() { ProducerId = 4, FirstOffset = 5 }],
                        },
                    ],
                },
            ],
        }, 16, "00000000 0000 00000000  02 0102030405060708090a0b0c0d0e0f10  "
            + "02 00000001 004a ffffffffffffffff ffffffffffffffff ffffffffffffffff  02 0000000000000004 0000000000000005 00  ffffffff  01  "
            + "01 01 09 00000003 00000002 00  00  00"),

        (new ListOffsetsRequest { Topics = [new() { Name = "t", Partitions = [new() { Timestamp = -1 }] }] }, 1,
            "ffffffff  00000001 0001 74  00000001 00000000 ffffffffffffffff"),
        (new ListOffsetsResponse { Topics = [new() { Name = "t", Partitions = [new() { Offset = 12, LeaderEpoch = 1 }] }] }, 6,
            "00000000  02 02 74  02 00000000 0000 ffffffffffffffff 000000000000000c 00000001 00  00  00"),
    ];

    public static TheoryData<int, string> Cases()
    {
        var cases = new TheoryData<int, string>();
        for (int i = 0; i < AllBodies.Length; i++)
            cases.Add(i, $"{AllBodies[i].Message.GetType().Name} v{AllBodies[i].Version}");

        return cases;
    }

    private static (IMessage Message, short Version, string Hex)[] AllBodies { get; } =
    [
        .. Bodies, .. GroupBodies(), .. TransactionBodies(), .. AdminBodies(), .. EmbeddedBodies(), .. PersistedBodies(),
        .. ReplicationBodies(),
    ];

    [Theory, MemberData(nameof(Cases))]
    public void A_body_has_exactly_these_bytes(int index, string name)
    {
        var (message, version, hex) = AllBodies[index];
        byte[] expected = Hex.Parse(hex);

        Assert.Equal(Hex.Format(expected), Hex.Format(MessageKind.Write(message, version)));

        IMessage read = MessageKind.Of(message.GetType().Name).Read(expected, version, out int remaining);
        Assert.True(remaining == 0, name);
        Assert.Equal(Hex.Format(expected), Hex.Format(MessageKind.Write(read, version)));
        new PropertyComparison().Compare(message, read, name);
    }

    [Fact]
    public void Every_version_of_a_data_message_has_golden_bytes()
    {
        IEnumerable<string> versions = MessageKind.All.Where(kind => !kind.Type.IsAssignableTo(typeof(IApiMessage)))
            .SelectMany(kind => kind.Versions.Select(version => $"{kind.Name} v{version}"));

        Assert.Empty(versions.Except(AllBodies.Select(body => $"{body.Message.GetType().Name} v{body.Version}")));
    }
}
