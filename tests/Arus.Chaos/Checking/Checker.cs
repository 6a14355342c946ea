namespace Arus.Chaos;

/// <summary>
/// Compares what producers were told with what is in the log, and what consumers were given with what stayed there.
/// </summary>
internal sealed class Checker
{
    private readonly Dictionary<ushort, ProducerLedger> _producers;
    private readonly TopicContents _log;
    private readonly Verdict _verdict = new();

    private Checker(IEnumerable<ProducerLedger> producers, TopicContents log)
    {
        _producers = producers.ToDictionary(producer => producer.Id);
        _log = log;
    }

    /// <param name="log">The whole topic, read from the start of every partition after the last fault.</param>
    /// <param name="served">What each consumer group was given while there were faults.</param>
    public static Verdict Check(IEnumerable<ProducerLedger> producers, TopicContents log, IEnumerable<TopicContents> served)
    {
        var checker = new Checker(producers, log);
        for (int partition = 0; partition < log.PartitionCount; partition++)
            checker.CheckPartition(partition, served);

        foreach (TopicContents reader in served)
            checker._verdict.Changed += reader.Contradictions;

        return checker._verdict;
    }

    private void CheckPartition(int partition, IEnumerable<TopicContents> served)
    {
        ulong[] records = _log.Records(partition);
        var views = _producers.Values.ToDictionary(producer => producer.Id, producer => new ProducerView(producer, partition));
        for (long offset = 0; offset < records.Length; offset++)
            Place(partition, offset, records[offset], views);

        foreach (ProducerView view in views.Values)
            CheckAcknowledged(partition, records, view);

        foreach (TopicContents reader in served)
            CheckServed(partition, records, reader);
    }

    /// <summary>Finds what stands twice, behind its successor, or without having been sent.</summary>
    private void Place(int partition, long offset, ulong packed, Dictionary<ushort, ProducerView> views)
    {
        if (packed == TopicContents.None)
            return;

        RecordId id = RecordId.Unpack(packed);
        if (packed == TopicContents.Foreign || !views.TryGetValue(id.Producer, out ProducerView? view) || !view.Knows(id.Sequence))
        {
            _verdict.Foreign++;
            _verdict.Example($"{partition}@{offset}: a record that nobody sent");
            return;
        }

        bool isIdempotent = view.Producer.IsIdempotent;
        if (view.FirstOffset[id.Sequence] >= 0)
        {
            if (isIdempotent)
            {
                _verdict.Doubled++;
                _verdict.Example($"{partition}@{offset}: {view.Producer.Client} {id} again, first at {view.FirstOffset[id.Sequence]}");
            }
            else
            {
                _verdict.DoubledByRetries++;
            }

            return;
        }

        view.FirstOffset[id.Sequence] = offset;
        if (id.Sequence < view.Highest)
        {
            if (isIdempotent)
            {
                _verdict.Reordered++;
                _verdict.Example($"{partition}@{offset}: {view.Producer.Client} {id} behind {view.Highest}");
            }
            else
            {
                _verdict.ReorderedByRetries++;
            }
        }

        view.Highest = Math.Max(view.Highest, id.Sequence);
    }

    private void CheckAcknowledged(int partition, ulong[] records, ProducerView view)
    {
        for (long sequence = 0; sequence < view.Outcomes.Length; sequence++)
        {
            long outcome = view.Outcomes[sequence];
            long found = view.FirstOffset[sequence];
            var id = new RecordId(view.Producer.Id, sequence);
            if (outcome is ProducerLedger.Pending or ProducerLedger.Failed)
            {
                _verdict.Unanswered += found >= 0 ? 1 : 0;
                continue;
            }

            _verdict.Acknowledged++;
            bool isAtItsOffset = outcome < 0 || (outcome < records.Length && records[outcome] == id.Packed);
            if (found >= 0 && isAtItsOffset)
                continue;

            _verdict.Lost++;
            string where = outcome < 0 ? "" : $" at {outcome}";
            string fate = found < 0 ? $"not in the log, which ends at {records.Length}" : $"in the log at {found}";
            _verdict.Example($"{partition}: {view.Producer.Client} {id} was acknowledged{where} and is {fate}");
        }
    }

    private void CheckServed(int partition, ulong[] records, TopicContents reader)
    {
        ulong[] given = reader.Records(partition);
        for (long offset = 0; offset < Math.Max(given.Length, records.Length); offset++)
        {
            ulong served = offset < given.Length ? given[offset] : TopicContents.None;
            ulong kept = offset < records.Length ? records[offset] : TopicContents.None;
            if (served == kept)
                continue;

            if (served == TopicContents.None)
            {
                _verdict.Unread++;
                _verdict.Example($"{partition}@{offset}: {reader.Reader} never was given this record");
            }
            else
            {
                _verdict.Changed++;
                _verdict.Example($"{partition}@{offset}: {reader.Reader} was given another record than the log has");
            }
        }
    }

    /// <summary>One producer's records of one partition.</summary>
    private sealed class ProducerView
    {
        public ProducerView(ProducerLedger producer, int partition)
        {
            Producer = producer;
            Outcomes = producer.Outcomes(partition);
            FirstOffset = new long[Outcomes.Length];
            Array.Fill(FirstOffset, -1);
        }

        public ProducerLedger Producer { get; }

        public long[] Outcomes { get; }

        public long[] FirstOffset { get; }

        public long Highest { get; set; } = -1;

        public bool Knows(long sequence) => sequence < Outcomes.Length;
    }
}
