using System.Reflection;
using System.Threading.Channels;
using Arus.Grains;
using Arus.Protocol;
using Arus.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Arus.Client.Tests;

/// <summary>A cluster in memory: topics, partitions that check what Kafka's leaders check, and the faults that a test asks for.</summary>
internal sealed class FakeCluster
{
    private readonly Dictionary<string, Grains.TopicDescription> _topics = [];
    private readonly Dictionary<TopicPartition, InMemoryPartition> _partitions = [];
    private readonly Dictionary<TopicPartition, CommittedOffset> _committed = [];
    private readonly Lock _gate = new();
    private long _nextProducerId = 1000;

    public FakeCluster(TimeProvider? time = null)
    {
        Time = time ?? TimeProvider.System;
        Grains = Fake.Of<IGrainFactory>((method, arguments) => Grain(method.GetGenericArguments()[0], arguments[0]!));
        var options = new ArusClientOptions();
        var retry = new GrainRetry(options, Time);
        Client = new ArusClient(
            Grains, retry, new ArusAdmin(Grains, retry), options, Time, NullLoggerFactory.Instance,
            (o, handler, _) => Membership = new FakeMembership(o, handler));
    }

    public TimeProvider Time { get; }

    public IGrainFactory Grains { get; }

    public ArusClient Client { get; }

    public FakeMembership? Membership { get; private set; }

    /// <summary>What the next commits answer; null for success.</summary>
    public ErrorCode CommitError { get; set; }

    /// <summary>What the next commit fails with, as a coordinator whose storage fails.</summary>
    public Exception? CommitFault { get; set; }

    public void AddTopic(string name, int count, bool isInternal = false)
    {
        PartitionAssignment[] map = [.. Enumerable.Range(0, count).Select(p => new PartitionAssignment(p, 1, 0, [1], [1]))];
        lock (_gate)
        {
            _topics[name] = new Grains.TopicDescription(name, Guid.Empty, map, [], 1, isInternal);
        }
    }

    public InMemoryPartition Partition(string topic, int partition)
    {
        lock (_gate)
        {
            var key = new TopicPartition(topic, partition);
            return _partitions.TryGetValue(key, out InMemoryPartition? found) ? found : _partitions[key] = new InMemoryPartition(Time);
        }
    }

    private InMemoryPartition Partition((string Topic, int Partition) key) => Partition(key.Topic, key.Partition);

    public long CommittedOffset(string topic, int partition)
    {
        lock (_gate)
        {
            return _committed.TryGetValue(new TopicPartition(topic, partition), out CommittedOffset found) ? found.Offset : -1;
        }
    }

    public void Commit(string topic, int partition, long offset)
    {
        lock (_gate)
        {
            var key = new TopicPartition(topic, partition);
            _committed[key] = new CommittedOffset(key, offset, -1, "");
        }
    }

    private object Grain(Type type, object key) => type.Name switch
    {
        nameof(ITopicGrain) => Fake.Of<ITopicGrain>((method, _) => method.Name == nameof(ITopicGrain.DescribeAsync)
            ? Task.FromResult(Describe((string)key))
            : throw new NotSupportedException(method.Name)),
        nameof(ITopicCatalogGrain) => Fake.Of<ITopicCatalogGrain>((_, _) => Task.FromResult(List((long)key))),
        nameof(IPartitionGrain) => Partition(PartitionKey.Parse((string)key)),
        nameof(IProducerIdGrain) =>
            Fake.Of<IProducerIdGrain>((_, arguments) => Task.FromResult(Interlocked.Add(ref _nextProducerId, (int)arguments[0]!))),
        nameof(IGroupGrain) => Fake.Of<IGroupGrain>(CallGroup),
        _ => throw new NotSupportedException(type.Name),
    };

    private Grains.TopicDescription? Describe(string name)
    {
        lock (_gate)
        {
            return _topics.GetValueOrDefault(name);
        }
    }

    private Grains.TopicListing[] List(long shard)
    {
        lock (_gate)
        {
            return [.. _topics.Values.Where(t => TopicCatalog.ShardOf(t.Name) == shard)
                .Select(t => new Grains.TopicListing(t.Name, t.Id, t.Partitions.Length, t.IsInternal))];
        }
    }

    private OffsetCommitResponse.OffsetCommitResponsePartition Commit(
        string topic, OffsetCommitRequest.OffsetCommitRequestPartition partition)
    {
        if (CommitError == ErrorCode.None)
        {
            Commit(topic, partition.PartitionIndex, partition.CommittedOffset);
        }

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

/// <summary>An interface as a function, so that a fake need not follow what it does not use.</summary>
#pragma warning disable CA1852 // The runtime derives from it.
internal class Fake : DispatchProxy
#pragma warning restore CA1852
{
    private Func<MethodInfo, object?[], object> _handler = null!;

    public static T Of<T>(Func<MethodInfo, object?[], object> handler) where T : class
    {
        T proxy = Create<T, Fake>();
        ((Fake)(object)proxy)._handler = handler;
        return proxy;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => _handler(targetMethod!, args ?? []);
}

internal sealed class FakeMembership(ConsumerOptions options, IGroupRebalanceHandler handler) : IGroupMembership
{
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ConsumerOptions Options => options;

    public IGroupRebalanceHandler Handler => handler;

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
