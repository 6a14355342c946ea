namespace Arus.Grains;

/// <summary>Why an activation of a partition does not lead, in the terms of the protocol.</summary>
internal sealed record Rejection(ErrorCode Error, string Message)
{
    public static Rejection Superseded { get; } = new(ErrorCode.NotLeaderOrFollower, "A newer activation of this partition leads.");

    public static Rejection OtherTopic { get; } = new(
        ErrorCode.UnknownTopicId, "The topic was deleted; another one has its name now.");

    public static Rejection Moving { get; } = new(ErrorCode.NotLeaderOrFollower, "This partition is moving.");

    public static Rejection Deleted { get; } = new(ErrorCode.UnknownTopicOrPartition, "The topic was deleted.");
}
