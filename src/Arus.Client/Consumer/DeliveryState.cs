namespace Arus.Client;

/// <summary>Whether the records of a partition are handed out.</summary>
internal enum DeliveryState : byte
{
    Active = 0,

    /// <summary>Not until the application resumes the partition.</summary>
    Paused = 1,

    /// <summary>Not any more: the partition is about to be given up.</summary>
    Revoking = 2,
}
