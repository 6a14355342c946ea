using System.Threading.Channels;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Arus.Client.Tests;

/// <summary>A client of a cluster in memory. Its consumers are in the group <c>g</c>, and get the partitions that the test says.</summary>
internal sealed class FakeCluster
{
    private readonly InMemoryCluster _cluster;

    public FakeCluster(TimeProvider? time = null)
    {
        Time = time ?? TimeProvider.System;
        _cluster = new InMemoryCluster(logTime: Time);
        Group.BeforeCall = FailCommit;
        var options = new ArusClientOptions();
        Losses = new SiloLosses(Time);
        var retry = new GrainRetry(options, Losses, Time);
        Client = new ArusClient(
            Grains, Losses, retry, new ArusAdmin(Grains, retry), options, Time, NullLoggerFactory.Instance,
            (o, handler, _) => Membership = new FakeMembership(o, handler, Group));
    }

    public TimeProvider Time { get; }

    public IGrainFactory Grains => _cluster.Grains;

    public SiloLosses Losses { get; }

    public ArusClient Client { get; }

    public FakeMembership? Membership { get; private set; }

    public InMemoryGroup Group => _cluster.Group("g");

    /// <summary>What the next commit fails with, as a coordinator whose storage fails.</summary>
    public Exception? CommitFault { get; set; }

    public Grains.TopicDescription AddTopic(string name, int count, bool isInternal = false) =>
        _cluster.AddTopic(name, count, isInternal);

    public InMemoryPartition Partition(string topic, int partition) => _cluster.Partition(topic, partition);

    public long CommittedOffset(string topic, int partition) => Group.CommittedOffset(new TopicPartition(topic, partition));

    private void FailCommit(IApiMessage request)
    {
        if (request is OffsetCommitRequest && CommitFault is { } fault)
        {
            CommitFault = null;
            throw fault;
        }
    }
}

/// <summary>A member of the group whose assignment is what the test says, and not what the group says.</summary>
internal sealed class FakeMembership : IGroupMembership
{
    private readonly IConsumerRebalanceListener _handler;
    private readonly InMemoryGroup _group;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public FakeMembership(ConsumerOptions options, IConsumerRebalanceListener handler, InMemoryGroup group)
    {
        (Options, _handler, _group) = (options, handler, group);

        // It is the only member: the group answers at once.
        JoinGroupResponse joined = group.JoinAndSyncAsync(options.ClientId).WaitAsync(TestTimeout.Value).GetAwaiter().GetResult();
        Identity = new MemberIdentity(joined.MemberId, null, joined.GenerationId);
    }

    public ConsumerOptions Options { get; }

    public MemberIdentity Identity { get; }

    public IReadOnlyList<TopicPartition> Assignment { get; private set; } = [];

    public IReadOnlyCollection<string> Topics { get; private set; } = [];

    /// <summary>What was subscribed to, one after another.</summary>
    public Channel<IReadOnlyCollection<string>> Subscriptions { get; } = Channel.CreateUnbounded<IReadOnlyCollection<string>>();

    public List<ErrorCode> ReportedErrors { get; } = [];

    public bool HasLeft => _group.Leavers.Contains(Identity.MemberId);

    public Task Completion => _completion.Task;

    public void Subscribe(IReadOnlyCollection<string> topics)
    {
        Topics = topics;
        Subscriptions.Writer.TryWrite(topics);
    }

    public void RecordPoll()
    {
    }

    public TaskCompletionSource Rejoin { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void RequestRejoin(string reason) => Rejoin.TrySetResult();

    public void ReportCommitError(ErrorCode error) => ReportedErrors.Add(error);

    public void End(Exception e) => _completion.TrySetException(e);

    public async Task AssignAsync(params TopicPartition[] partitions)
    {
        await _handler.OnPartitionsAssignedAsync(partitions, CancellationToken.None);
        Assignment = [.. Assignment, .. partitions];
    }

    public async Task RevokeAsync(params TopicPartition[] partitions)
    {
        await _handler.OnPartitionsRevokedAsync(partitions, CancellationToken.None);
        Assignment = [.. Assignment.Except(partitions)];
    }

    public async Task LeaveAsync(string reason, CancellationToken cancellationToken = default)
    {
        await RevokeAsync([.. Assignment]);
        await _group.LeaveAsync(new LeaveGroupRequest { Members = [new() { MemberId = Identity.MemberId }] });
        _completion.TrySetResult();
    }

    public ValueTask DisposeAsync() => default;
}
