namespace Arus;

/// <summary>How the records of a batch are compressed: the low three bits of a batch's attributes.</summary>
public enum CompressionType : byte
{
    None = 0,
    Gzip = 1,

    /// <summary>Raw snappy blocks in xerial framing, as Kafka's own producer writes them, or one raw block.</summary>
    Snappy = 2,

    /// <summary>The LZ4 frame format, with a correct header checksum (KIP-57).</summary>
    Lz4 = 3,

    /// <summary>KIP-110.</summary>
    Zstd = 4,
}

/// <summary>Which clock the timestamps of a batch come from.</summary>
public enum TimestampType : byte
{
    CreateTime = 0,

    /// <summary>The leader's clock at the append: every record has the batch's maximum timestamp.</summary>
    LogAppendTime = 1,
}

/// <summary>The attribute bits of a record batch (KIP-98, KIP-534).</summary>
[Flags]
public enum RecordBatchAttributes : short
{
    None = 0,
    CompressionMask = 0x07,
    LogAppendTime = 0x08,
    Transactional = 0x10,
    Control = 0x20,

    /// <summary>The base timestamp is the time from which tombstones may be removed.</summary>
    DeleteHorizon = 0x40,

    /// <summary>Every bit that means something.</summary>
    Known = CompressionMask | LogAppendTime | Transactional | Control | DeleteHorizon,
}
