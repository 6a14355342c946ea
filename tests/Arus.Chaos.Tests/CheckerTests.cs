using Arus.Testing;

namespace Arus.Chaos.Tests;

/// <summary>
/// The checker finds every kind of damage, each alone and in any amount, and nothing where there is none. Damage is done to what it reads.
/// </summary>
public sealed class CheckerTests
{
    private const int Partitions = 3;
    private const int PerPartition = 400;

    [Fact]
    public void Nothing_is_found_where_everything_is_in_order() => Seeds.Run(20, seed =>
    {
        Verdict verdict = new Scene(seed).Check();
        Assert.True(verdict.IsClean);
        Assert.Equal(2 * Partitions * PerPartition, verdict.Acknowledged);
        Assert.Empty(verdict.Examples);
    });

    [Fact]
    public void Every_acknowledged_record_that_is_not_in_the_log_is_lost() => Seeds.Run(20, seed =>
    {
        var scene = new Scene(seed);
        int dropped = scene.Random.Next(1, PerPartition);
        for (int partition = 0; partition < Partitions; partition++)
            scene.Log[partition].RemoveRange(scene.Log[partition].Count - dropped, dropped);

        Verdict verdict = scene.Check();
        Assert.Equal(dropped * Partitions, verdict.Lost);
        Assert.Equal(0, verdict.Doubled + verdict.Reordered + verdict.Foreign);
    });

    [Fact]
    public void A_record_of_the_middle_that_is_gone_is_found_whether_or_not_others_took_its_place() => Seeds.Run(20, seed =>
    {
        var scene = new Scene(seed);
        int at = scene.Random.Next(0, PerPartition - 1);
        scene.Log[1].RemoveAt(at);
        // What stands behind it moved to offsets that nobody was told.
        Assert.Equal((2 * PerPartition) - at, scene.Check().Lost);

        scene = new Scene(seed);
        scene.Log[1][at] = TopicContents.None;
        Assert.Equal(1, scene.Check().Lost);
    });

    [Fact]
    public void A_record_without_a_known_offset_may_stand_anywhere_but_must_stand_somewhere() => Seeds.Run(20, seed =>
    {
        var scene = new Scene(seed);
        RecordId extra = scene.Idempotent.Send(0);
        scene.Idempotent.Acknowledge(0, extra.Sequence, null);
        Assert.Equal(1, scene.Check().Lost);
        scene.Log[0].Add(extra.Packed);
        Assert.True(scene.Check().IsClean);
    });

    [Fact]
    public void A_record_that_stands_twice_is_doubled_if_its_producer_is_idempotent() => Seeds.Run(20, seed =>
    {
        var scene = new Scene(seed);
        ulong[] twice = [.. scene.Log[2].Where(packed => RecordId.Unpack(packed).Producer == scene.Idempotent.Id).Take(5)];
        ulong[] retried = [.. scene.Log[2].Where(packed => RecordId.Unpack(packed).Producer == scene.Plain.Id).Take(7)];
        scene.Log[2].AddRange([.. twice, .. retried]);
        Verdict verdict = scene.Check();
        Assert.Equal((5, 7), (verdict.Doubled, verdict.DoubledByRetries));
        Assert.Equal((0, 0, 0), (verdict.Lost, verdict.Reordered, verdict.ReorderedByRetries));
    });

    [Fact]
    public void A_record_behind_its_successor_is_reordered() => Seeds.Run(20, seed =>
    {
        var scene = new Scene(seed);
        scene.Swap(0, scene.Idempotent);
        Verdict verdict = scene.Check();
        Assert.Equal((1, 0), (verdict.Reordered, verdict.ReorderedByRetries));
        // Neither stands where its acknowledgement said.
        Assert.Equal(2, verdict.Lost);

        scene = new Scene(seed);
        scene.Swap(0, scene.Plain);
        verdict = scene.Check();
        Assert.Equal((0, 1), (verdict.Reordered, verdict.ReorderedByRetries));
    });

    [Fact]
    public void Bytes_that_nobody_sent_are_foreign_and_what_they_replaced_is_lost() => Seeds.Run(20, seed =>
    {
        var scene = new Scene(seed);
        scene.Log[0][scene.Random.Next(scene.Log[0].Count)] = TopicContents.Foreign;
        scene.Log[1].Add(new RecordId(99, 0).Packed);
        scene.Log[1].Add(new RecordId(scene.Plain.Id, PerPartition + 1000).Packed);
        Verdict verdict = scene.Check();
        Assert.Equal((3, 1), (verdict.Foreign, verdict.Lost));
    });

    [Fact]
    public void What_was_not_acknowledged_may_be_in_the_log_or_not()
    {
        var scene = new Scene(1);
        RecordId failed = scene.Plain.Send(0);
        scene.Plain.Fail(0, failed.Sequence);
        scene.Plain.Send(0);
        scene.Log[0].Add(failed.Packed);
        Verdict verdict = scene.Check();
        Assert.True(verdict.IsClean);
        Assert.Equal(1, verdict.Unanswered);
    }

    [Fact]
    public void What_a_group_was_given_must_stay_and_all_that_stays_must_be_given()
    {
        var scene = new Scene(1);
        var served = new TopicContents("group", Partitions);
        for (int partition = 0; partition < Partitions; partition++)
        {
            for (int offset = 0; offset < scene.Log[partition].Count; offset++)
                served.Add(partition, offset, scene.Log[partition][offset]);
        }

        Assert.True(scene.Check(served).IsClean);
        served.Add(0, scene.Log[0].Count, new RecordId(scene.Plain.Id, 3).Packed);
        Assert.Equal((1, 0), (scene.Check(served).Changed, scene.Check(served).Unread));
        scene.Log[1].Add(scene.Log[1][0]);
        Assert.Equal((1, 1), (scene.Check(served).Changed, scene.Check(served).Unread));

        // The same offset again with another record: one of the two was served in error.
        served.Add(2, 0, scene.Log[2][1]);
        served.Add(2, 0, scene.Log[2][0]);
        Assert.Equal(3, scene.Check(served).Changed);
    }

    [Fact]
    public void A_record_that_came_back_damaged_or_in_another_partition_is_foreign()
    {
        byte[] value = ChaosRecord.Make(new RecordId(7, 123_456), 5);
        Assert.True(ChaosRecord.TryRead(value, 5, out RecordId id));
        Assert.Equal(new RecordId(7, 123_456), id);
        Assert.Equal(id, RecordId.Unpack(id.Packed));
        Assert.False(ChaosRecord.TryRead(value, 6, out _));
        Assert.False(ChaosRecord.TryRead(value.AsSpan(1), 5, out _));
        for (int i = 0; i < value.Length; i++)
        {
            byte[] damaged = [.. value];
            damaged[i] ^= 1;
            Assert.False(ChaosRecord.TryRead(damaged, 5, out _));
        }
    }

    /// <summary>Two producers whose records are interleaved at random, all acknowledged where they stand.</summary>
    private sealed class Scene
    {
        public Scene(int seed)
        {
            Random = new Random(seed);
            for (int partition = 0; partition < Partitions; partition++)
                Fill(partition);
        }

        public Random Random { get; }

        public ProducerLedger Idempotent { get; } = new(1, "idempotent", isIdempotent: true, Partitions);

        public ProducerLedger Plain { get; } = new(2, "plain", isIdempotent: false, Partitions);

        public List<ulong>[] Log { get; } = [.. Enumerable.Range(0, Partitions).Select(_ => new List<ulong>())];

        public Verdict Check(params TopicContents[] served)
        {
            var log = new TopicContents("the log", Partitions);
            for (int partition = 0; partition < Partitions; partition++)
            {
                for (int offset = 0; offset < Log[partition].Count; offset++)
                    log.Add(partition, offset, Log[partition][offset]);
            }

            return Checker.Check([Idempotent, Plain], log, served);
        }

        /// <summary>Lets two successive records of a producer change places.</summary>
        public void Swap(int partition, ProducerLedger producer)
        {
            int[] places = [.. Enumerable.Range(0, Log[partition].Count)
                .Where(offset => RecordId.Unpack(Log[partition][offset]).Producer == producer.Id)];
            int at = Random.Next(places.Length - 1);
            List<ulong> log = Log[partition];
            (log[places[at]], log[places[at + 1]]) = (log[places[at + 1]], log[places[at]]);
        }

        private void Fill(int partition)
        {
            ProducerLedger[] order = [.. Enumerable.Repeat(Idempotent, PerPartition), .. Enumerable.Repeat(Plain, PerPartition)];
            Random.Shuffle(order);
            foreach (ProducerLedger producer in order)
            {
                RecordId id = producer.Send(partition);
                producer.Acknowledge(partition, id.Sequence, Log[partition].Count);
                Log[partition].Add(id.Packed);
            }
        }
    }
}
