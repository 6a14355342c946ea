using Arus.Compression;

namespace Arus.Client.Tests;

public sealed class PartitionSequenceTests
{
    private readonly PartitionSequence _sequence = new();

    public PartitionSequenceTests()
    {
        _sequence.SetProducerId(7);
        _sequence.Accept();
    }

    [Fact]
    public void Numbers_follow_each_other_and_are_given_once()
    {
        List<ProducerBatch> pending = [Batch(3), Batch(2)];
        Assert.Equal(2, Send(pending));
        pending.Add(Batch(1));
        Assert.Equal(2, Send(pending));
        Assert.Equal(["7/0/0", "7/0/3", "7/0/5"], pending.Select(Number));
    }

    [Fact]
    public void A_call_holds_no_more_than_the_leader_remembers()
    {
        List<ProducerBatch> pending = [.. Enumerable.Range(0, 7).Select(_ => Batch(1))];
        Assert.Equal(PartitionSequence.MaxBatches, Send(pending));
    }

    [Fact]
    public void A_call_holds_one_batch_as_long_as_the_leader_does_not_know_the_producer()
    {
        _sequence.SetProducerId(8);
        List<ProducerBatch> pending = [Batch(1), Batch(1), Batch(1)];
        Assert.Equal(1, Send(pending));
        _sequence.Accept();
        Assert.Equal(2, Send(pending[1..]));
    }

    [Fact]
    public void After_a_break_what_was_never_numbered_begins_the_next_epoch()
    {
        List<ProducerBatch> pending = [Batch(1)];
        Send(pending);
        _sequence.Break();
        pending = [Batch(2)];
        Send(pending);
        Assert.Equal("7/1/0", Number(pending[0]));
    }

    [Fact]
    public void What_may_be_on_the_log_is_settled_before_the_next_epoch_begins()
    {
        List<ProducerBatch> pending = [Batch(1), Batch(1)];
        Send(pending);
        pending[0].MarkUnanswered();
        _sequence.Break();
        pending.Add(Batch(1));
        Assert.False(_sequence.TryGoOn(pending, out int count));
        Assert.Equal(2, count);
        Assert.True(_sequence.IsBroken);
    }

    [Fact]
    public void A_missing_batch_takes_the_numbers_of_those_after_it()
    {
        List<ProducerBatch> again = [Batch(1), Batch(1), Batch(1)];
        Send(again);
        _sequence.BeginAnswer();
        _sequence.BreakAt(before: 1, isMissing: true);
        Assert.True(_sequence.IsMissing);
        _sequence.EndAnswer(again);
        Assert.Equal([true, false, false], again.Select(b => b.HasSequence));
    }

    [Fact]
    public void A_batch_that_failed_in_doubt_takes_no_number_of_one_that_may_be_on_the_log()
    {
        List<ProducerBatch> again = [Batch(1), Batch(1)];
        Send(again);
        again[0].MarkUnanswered();
        _sequence.BeginAnswer();
        _sequence.BreakAt(before: 0, isMissing: false);
        _sequence.EndAnswer(again);
        Assert.Equal([true, false], again.Select(b => b.HasSequence));
    }

    [Fact]
    public void An_answer_without_a_break_takes_no_number()
    {
        List<ProducerBatch> again = [Batch(1)];
        Send(again);
        _sequence.BeginAnswer();
        _sequence.EndAnswer(again);
        Assert.True(again[0].HasSequence);
        Assert.False(_sequence.IsBroken);
    }

    [Fact]
    public void A_producer_id_lasts_for_as_many_epochs_as_there_are()
    {
        for (int epoch = 0; epoch < short.MaxValue; epoch++)
        {
            _sequence.Break();
            Assert.True(_sequence.TryGoOn([], out _));
        }

        Assert.False(_sequence.NeedsProducerId);
        _sequence.Break();
        Assert.True(_sequence.TryGoOn([], out _));
        Assert.True(_sequence.IsExhausted);
        Assert.True(_sequence.NeedsProducerId);
    }

    private int Send(List<ProducerBatch> pending)
    {
        Assert.True(_sequence.TryGoOn(pending, out _));
        int count = _sequence.Assign(pending, CompressionType.None);
        pending.GetRange(0, count).ForEach(b => b.MarkSent());
        return count;
    }

    private static string Number(ProducerBatch batch)
    {
        var header = new RecordBatchHeader(batch.ToBytes(CompressionType.None).Span);
        return $"{header.ProducerId}/{header.ProducerEpoch}/{header.BaseSequence}";
    }

    private static ProducerBatch Batch(int records)
    {
        var builder = new RecordBatchBuilder();
        for (int i = 0; i < records; i++)
            builder.Append(timestampMs: 1, "k"u8, isKeyNull: false, "v"u8, isValueNull: false, []);

        return new ProducerBatch(builder, new DeliveryOutcome(new TopicPartition("t", 0)), createdAt: 0);
    }
}
