namespace Arus.Client;

/// <summary>Where the records of a poll go.</summary>
internal interface IRecordSink
{
    /// <summary>How many more it takes.</summary>
    int Room { get; }

    /// <summary>Takes a record; false leaves it for the next poll.</summary>
    bool TryAdd(TopicPartition partition, RecordBatchHeader batch, RecordView record, ReadOnlyMemory<byte> payload);
}
