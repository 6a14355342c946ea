namespace Arus.Client;

/// <summary>What a producer with a transactional id can do now.</summary>
internal enum TransactionState
{
    Uninitialized = 0,
    Ready = 1,
    Open = 2,

    /// <summary>To be committed; what is in the buffer is still sent.</summary>
    Committing = 3,

    /// <summary>The coordinator has been asked to commit.</summary>
    CommitInDoubt = 4,

    Aborting = 5,

    /// <summary>Can only be aborted.</summary>
    Failed = 6,

    /// <summary>The producer can do nothing any more.</summary>
    Fatal = 7,
}
