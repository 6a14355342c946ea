namespace Arus.Client;

/// <summary>What the producer knows of a batch's way to the log.</summary>
internal enum BatchState : byte
{
    /// <summary>There was no attempt.</summary>
    Unsent = 0,

    /// <summary>It was sent, and nothing says that it may be on the log.</summary>
    Sent = 1,

    /// <summary>An attempt was not answered, or answered so that the batch may be on the log.</summary>
    InDoubt = 2,

    /// <summary>A part of a batch that is in doubt as a whole: the leader would not recognise the part by its sequence number.</summary>
    PartInDoubt = 3,
}
