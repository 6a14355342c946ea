namespace Arus;

/// <summary>Which records a reader is given (Kafka's <c>isolation.level</c>).</summary>
public enum IsolationLevel : byte
{
    /// <summary>All, up to the high watermark.</summary>
    ReadUncommitted = 0,

    /// <summary>Up to the last stable offset, and none of a transaction that was aborted.</summary>
    ReadCommitted = 1,
}
