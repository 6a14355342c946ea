using Arus.Grains;

namespace Arus.Kafka.Tests;

/// <summary>A group that answers what the test puts into it.</summary>
internal sealed class FakeGroup(string id) : IGroupGrain
{
    public Queue<JoinGroupResult> Joins { get; } = new();

    public Queue<SyncGroupResult> Syncs { get; } = new();

    public List<JoinGroupCommand> JoinCommands { get; } = [];

    /// <summary>Set: joins and syncs are not answered before it ends, as in a rebalance that waits for other members.</summary>
    public TaskCompletionSource? Rebalance { get; set; }

    /// <summary>Ends when a join or sync waits for <see cref="Rebalance"/>.</summary>
    public TaskCompletionSource Waiting { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public List<CommitOffsetsCommand> Commits { get; } = [];

    public List<CommittedOffset> Offsets { get; } = [];

    public Exception? Failure { get; set; }

    public GroupDescription? Description { get; set; }

    public int Coordinator { get; set; } = 1;

    public async Task<JoinGroupResult> JoinAsync(JoinGroupCommand command)
    {
        JoinCommands.Add(command);
        await WaitAsync();
        return await Answer(Joins.Dequeue);
    }

    public async Task<SyncGroupResult> SyncAsync(SyncGroupCommand command)
    {
        await WaitAsync();
        return await Answer(Syncs.Dequeue);
    }

    public Task<ErrorCode> HeartbeatAsync(MemberIdentity member) => Answer(() => ErrorCode.None);

    public Task<ErrorCode[]> LeaveAsync(MemberIdentity[] members, string? reason) =>
        Answer(() => Array.ConvertAll(members, member => member.MemberId == "gone" ? ErrorCode.UnknownMemberId : ErrorCode.None));

    public Task<ErrorCode[]> CommitOffsetsAsync(CommitOffsetsCommand command)
    {
        Commits.Add(command);
        Offsets.AddRange(command.Offsets);
        return Answer(() => new ErrorCode[command.Offsets.Length]);
    }

    public Task<CommittedOffset[]> FetchOffsetsAsync(TopicPartition[]? partitions) => Answer(() => partitions is null
        ? Offsets.ToArray()
        : Array.ConvertAll(partitions, partition => Offsets.Any(offset => offset.Partition == partition)
            ? Offsets.Last(offset => offset.Partition == partition)
            : new CommittedOffset(partition, -1, -1, "")));

    public Task<ErrorCode[]> DeleteOffsetsAsync(TopicPartition[] partitions) => Answer(() => new ErrorCode[partitions.Length]);

    public Task<GroupDescription> DescribeAsync() =>
        Answer(() => Description ?? new GroupDescription(ErrorCode.None, id, "Dead", 0, "", "", 1, []));

    public Task<ErrorCode> DeleteAsync() => Answer(() => ErrorCode.None);

    public Task<int> LocateAsync() => Answer(() => Coordinator);

    private async Task WaitAsync()
    {
        if (Rebalance is { } rebalance)
        {
            Waiting.TrySetResult();
            await rebalance.Task;
        }
    }

    private Task<T> Answer<T>(Func<T> value) => Failure is null ? Task.FromResult(value()) : Task.FromException<T>(Failure);
}
