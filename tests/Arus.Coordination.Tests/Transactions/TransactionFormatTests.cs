using Arus.Protocol;

namespace Arus.Coordination.Tests.Transactions;

/// <summary>What is stored today must be readable tomorrow: the bytes are frozen.</summary>
public sealed class TransactionFormatTests
{
    private static readonly TransactionMetadata Metadata = new()
    {
        State = (sbyte)TransactionState.PrepareCommit,
        ProducerId = 1_000,
        ProducerEpoch = 7,
        LastProducerEpoch = 6,
        PreviousProducerId = -1,
        NextProducerId = 2_000,
        TimeoutMs = 60_000,
        TransactionVersion = 2,
        StartedAtMs = 1_700_000_000_000,
        UpdatedAtMs = 1_700_000_000_001,
        Topics =
        [
            new() { Name = "t", Id = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"), Partitions = [0, 300] },
            new() { Name = "u" },
        ],
        Groups = ["g"],
    };

    [Fact]
    public void A_transactional_id_has_these_bytes()
    {
        byte[] bytes = DataMessages.WriteVersioned(Metadata);

        Assert.Equal(
            "0102D00F0007000601A01FC0A907000280A0ABFEF96282A0ABFEF962"
            + "040474" + "00112233445566778899AABBCCDDEEFF" + "0400D804" + "0475" + "00000000000000000000000000000000" + "00"
            + "020467",
            Convert.ToHexString(bytes));
        Assert.Equal(bytes, DataMessages.WriteVersioned(DataMessages.ReadVersioned<TransactionMetadata>(bytes)));
    }

    [Fact]
    public void What_is_stored_of_a_decided_transaction_is_what_the_next_coordinator_knows()
    {
        var host = new TransactionHost(Metadata, coordinatorEpoch: 4);

        Assert.Equal(
            [("t", 0), ("t", 300), ("g", -1)],
            host.TakeMarkers().Select(marker => (marker.Participant.Name, marker.Participant.Partition)));
        Assert.Equal((TransactionState.PrepareCommit, 1_700_000_000_000), (host.Machine.State, host.Description.TransactionStartTimeMs));
        Assert.Equal((60_000, 1_000L, (short)7), (
            host.Description.TransactionTimeoutMs, host.Description.ProducerId, host.Description.ProducerEpoch));
    }
}
