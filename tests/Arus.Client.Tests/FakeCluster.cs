using System.Reflection;
using System.Threading.Channels;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Arus.Client.Tests;

/// <summary>A client of a cluster in memory, with the committed offsets and the membership of its one group.</summary>
internal sealed class FakeCluster
{
    private readonly InMemoryCluster<IGroupGrain> _cluster;
    private readonly Dictionary<TopicPartition, CommittedOffset> _committed = [];
    private readonly Lock _gate = new();

    public FakeCluster(TimeProvider? time = null)
    {
        Time = time ?? TimeProvider.System;
        _cluster = new InMemoryCluster<IGroupGrain>(_ => Fake.Of<IGroupGrain>(CallGroup), Time);
        var options = new ArusClientOptions();
        var retry = new GrainRetry(options, Time);
        Client = new ArusClient(
            Grains, retry, new ArusAdmin(Grains, retry), options, Time, NullLoggerFactory.Instance,
            (o, handler, _) => Membership = new FakeMembership(o, handler));
    }

    public TimeProvider Time { get; }

    public IGrainFactory Grains => _cluster.Grains;

    public ArusClient Client { get; }

    public FakeMembership? Membership { get; private set; }

    /// <summary>What the next commits answer; null for success.</summary>
    public ErrorCode CommitError { get; set; }

    /// <summary>What the next commit fails with, as a coordinator whose storage fails.</summary>
    public Exception? CommitFault { get; set; }

    public void AddTopic(string name, int count, bool isInternal = false) => _cluster.AddTopic(name, count, isInternal);

    public InMemoryPartition Partition(string topic, int partition) => _cluster.Partition(topic, partition);

    public long CommittedOffset(string topic, int partition)
    {
        lock (_gate)
            return _committed.TryGetValue(new TopicPartition(topic, partition), out CommittedOffset found) ? found.Offset : -1;
    }

    public void Commit(string topic, int partition, long offset)
    {
        lock (_gate)
        {
            var key = new TopicPartition(topic, partition);
            _committed[key] = new CommittedOffset(key, offset, -1, "");
        }
    }

    private OffsetCommitResponse.OffsetCommitResponsePartition Commit(
        string topic, OffsetCommitRequest.OffsetCommitRequestPartition partition)
    {
        if (CommitError == ErrorCode.None)
            Commit(topic, partition.PartitionIndex, partition.CommittedOffset);

        return new() { PartitionIndex = partition.PartitionIndex, ErrorCode = CommitError };
    }

    private object CallGroup(MethodInfo method, object?[] arguments)
    {
        lock (_gate)
        {
            switch (method.Name)
            {
                case nameof(IGroupGrain.CommitOffsetsAsync):
                    if (CommitFault is { } fault)
                    {
                        CommitFault = null;
                        return Task.FromException<OffsetCommitResponse>(fault);
                    }

                    return Task.FromResult(new OffsetCommitResponse
                    {
                        Topics = Array.ConvertAll(
                            ((OffsetCommitRequest)arguments[0]!).Topics, topic => new OffsetCommitResponse.OffsetCommitResponseTopic
                        {
                            Name = topic.Name,
                            Partitions = Array.ConvertAll(topic.Partitions, partition => Commit(topic.Name, partition)),
                        }),
                    });
                case nameof(IGroupGrain.FetchOffsetsAsync):
                    OffsetFetchRequest.OffsetFetchRequestGroup wanted = ((OffsetFetchRequest)arguments[0]!).Groups[0];
                    return Task.FromResult(new OffsetFetchResponse
                    {
                        Groups =
                            [new() { Topics = Array.ConvertAll(wanted.Topics!, topic => new OffsetFetchResponse.OffsetFetchResponseTopics
                        {
                            Name = topic.Name,
                            Partitions = Array.ConvertAll(
                                topic.PartitionIndexes, partition => new OffsetFetchResponse.OffsetFetchResponsePartitions
                            {
                                PartitionIndex = partition,
                                CommittedOffset = _committed.TryGetValue(new(topic.Name, partition), out CommittedOffset c) ? c.Offset : -1,
                            }),
                        }) }],
                    });
                default:
                    throw new NotSupportedException(method.Name);
            }
        }
    }
}

internal sealed class FakeMembership(ConsumerOptions options, IConsumerRebalanceListener handler) : IGroupMembership
{
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ConsumerOptions Options => options;

    public IConsumerRebalanceListener Handler => handler;

    public MemberIdentity Identity { get; } = new("member-1", null, 7);

    public IReadOnlyList<TopicPartition> Assignment { get; private set; } = [];

    public IReadOnlyCollection<string> Topics { get; private set; } = [];

    /// <summary>What was subscribed to, one after another.</summary>
    public Channel<IReadOnlyCollection<string>> Subscriptions { get; } = Channel.CreateUnbounded<IReadOnlyCollection<string>>();

    public List<ErrorCode> ReportedErrors { get; } = [];

    public bool HasLeft { get; private set; }

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
        await handler.OnPartitionsAssignedAsync(partitions, CancellationToken.None);
        Assignment = [.. Assignment, .. partitions];
    }

    public async Task RevokeAsync(params TopicPartition[] partitions)
    {
        await handler.OnPartitionsRevokedAsync(partitions, CancellationToken.None);
        Assignment = [.. Assignment.Except(partitions)];
    }

    public async Task LeaveAsync(string reason, CancellationToken cancellationToken = default)
    {
        HasLeft = true;
        await RevokeAsync([.. Assignment]);
        _completion.TrySetResult();
    }

    public ValueTask DisposeAsync() => default;
}
