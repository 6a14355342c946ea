namespace Arus.Protocol.Tests;

public sealed partial class GoldenTests
{
    private static IEnumerable<(IMessage Message, short Version, string Hex)> TransactionBodies() =>
    [
        (new AddPartitionsToTxnRequest
        {
            V3AndBelowTransactionalId = "x",
            V3AndBelowProducerId = 5,
            V3AndBelowProducerEpoch = 2,
            V3AndBelowTopics = [new() { Name = "t", Partitions = [1] }],
        }, 3, "02 78 0000000000000005 0002  02 02 74 02 00000001 00  00"),
        (new AddPartitionsToTxnRequest
        {
            Transactions =
            [
                new()
                {
                    TransactionalId = "x", ProducerId = 5, ProducerEpoch = 2, VerifyOnly = true,
                    Topics = [new() { Name = "t", Partitions = [1] }],
                },
            ],
        }, 4, "02  02 78 0000000000000005 0002 01  02 02 74 02 00000001 00  00  00"),
        (new AddPartitionsToTxnResponse
        {
            ResultsByTopicV3AndBelow = [new() { Name = "t", ResultsByPartition = [new() { PartitionIndex = 1 }] }],
        }, 0, "00000000  00000001 0001 74  00000001 00000001 0000"),
        (new AddPartitionsToTxnResponse
        {
            ResultsByTransaction =
            [
                new()
                {
                    TransactionalId = "x",
                    TopicResults =
                    [
                        new() { Name = "t", ResultsByPartition = [new() { PartitionErrorCode = ErrorCode.TransactionAbortable }] },
                    ],
                },
            ],
        }, 5, "00000000 0000  02 02 78  02 02 74  02 00000000 0078 00  00  00  00"),
        (new AddOffsetsToTxnRequest { TransactionalId = "x", ProducerId = 5, ProducerEpoch = 2, GroupId = "g" }, 0,
            "0001 78 0000000000000005 0002 0001 67"),
        (new AddOffsetsToTxnResponse { ErrorCode = ErrorCode.ConcurrentTransactions }, 4, "00000000 0033 00"),
        (new EndTxnRequest { TransactionalId = "x", ProducerId = 5, ProducerEpoch = 2, Committed = true }, 5,
            "02 78 0000000000000005 0002 01 00"),
        (new EndTxnResponse { ProducerId = 5, ProducerEpoch = 3 }, 4, "00000000 0000 00"),
        (new EndTxnResponse { ProducerId = 5, ProducerEpoch = 3 }, 5, "00000000 0000 0000000000000005 0003 00"),
        (new DescribeTransactionsRequest { TransactionalIds = ["x"] }, 0, "02 02 78 00"),
        (new DescribeTransactionsResponse
        {
            TransactionStates =
            [
                new()
                {
                    TransactionalId = "x", TransactionState = "Empty", TransactionTimeoutMs = 1, TransactionStartTimeMs = -1,
                    ProducerId = 5, ProducerEpoch = 2, Topics = [new() { Topic = "t", Partitions = [3] }],
                },
            ],
        }, 0, "00000000  02 0000 02 78 06 456d707479 00000001 ffffffffffffffff 0000000000000005 0002  02 02 74 02 00000003 00  00  00"),
        (new ListTransactionsRequest { StateFilters = ["s"], ProducerIdFilters = [5], DurationFilter = 9, TransactionalIdPattern = "p" }, 2,
            "02 02 73  02 0000000000000005 0000000000000009 02 70 00"),
        (new ListTransactionsRequest(), 0, "01 01 00"),
        (new ListTransactionsResponse
        {
            UnknownStateFilters = ["u"],
            TransactionStates = [new() { TransactionalId = "x", ProducerId = 5, TransactionState = "s" }],
        }, 2, "00000000 0000  02 02 75  02 02 78 0000000000000005 02 73 00  00"),
        (new TransactionMetadata
        {
            State = 1,
            ProducerId = 5,
            ProducerEpoch = 2,
            LastProducerEpoch = -1,
            PreviousProducerId = -1,
            NextProducerId = -1,
            TimeoutMs = 3,
            TransactionVersion = 2,
            StartedAtMs = 8,
            UpdatedAtMs = 9,
            Topics = [new() { Name = "t", Id = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"), Partitions = [1] }],
            Groups = ["g"],
        }, 1, "01 0a 0002 ffff 01 01 06 0002 10 12  02 04 74 00112233445566778899aabbccddeeff 02 02  02 04 67"),
    ];
}
