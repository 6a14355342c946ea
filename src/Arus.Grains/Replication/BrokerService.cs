using Arus.Protocol;
using Microsoft.Extensions.Logging;
using Orleans.Concurrency;
using Orleans.Runtime;
using Orleans.Runtime.Services;
using Orleans.Services;

namespace Arus.Grains;

/// <summary>What brokers say to each other about the partitions that they keep. Every call interleaves.</summary>
[Alias("arus.IBrokerService")]
internal interface IBrokerService : IGrainService
{
    /// <summary>Opens sessions: answered when older leaders are fenced and what the leader lacks is cut off, durably.</summary>
    /// <param name="from">The leader's broker.</param>
    [Alias("OpenSessions")]
    Task<ReplicaSessionResponse> OpenSessionsAsync(int from, ReplicaSessionRequest request);

    /// <summary>Brings records of many partitions, or is a heartbeat; answered when what was accepted is durable.</summary>
    /// <param name="records">The segments of all partitions, in the order of the request.</param>
    [Alias("Push")]
    Task<ReplicaPushResponse> PushAsync(int from, ReplicaPushRequest request, PushedRecords records);

    /// <summary>Tells of states that changed. One that is lost is found by the next poll of the store.</summary>
    [Alias("Announce"), OneWay]
    Task AnnounceAsync(PartitionStates states);

    /// <summary>An operator wishes for other leaders. Nothing tells what became of it but the states of the partitions.</summary>
    [Alias("Elect"), OneWay]
    Task ElectAsync(LeaderElection[] elections);

    /// <summary>The logs that the broker has open, for whoever restores metadata by them.</summary>
    [Alias("DescribeLogs")]
    Task<LogDescription[]> DescribeLogsAsync();

    /// <summary>A topic's configuration changed.</summary>
    [Alias("Reconfigure")]
    Task ReconfigureAsync(Guid topicId, Dictionary<string, string> configs);
}

/// <inheritdoc cref="IBrokerService"/>
internal sealed class BrokerService(GrainId id, Silo silo, ILoggerFactory loggers, ReplicationHost host, PartitionImage image)
    : GrainService(id, silo, loggers), IBrokerService
{
    public Task<ReplicaSessionResponse> OpenSessionsAsync(int from, ReplicaSessionRequest request) =>
        host.ReceiveSessionsAsync(from, request);

    public Task<ReplicaPushResponse> PushAsync(int from, ReplicaPushRequest request, PushedRecords records) =>
        host.ReceivePushAsync(from, request, records);

    public Task AnnounceAsync(PartitionStates states)
    {
        image.Update(StateMessages.ToStates(states));
        return Task.CompletedTask;
    }

    public Task ElectAsync(LeaderElection[] elections)
    {
        host.Elect(elections);
        return Task.CompletedTask;
    }

    public Task<LogDescription[]> DescribeLogsAsync() => Task.FromResult(host.DescribeLogs());

    public Task ReconfigureAsync(Guid topicId, Dictionary<string, string> configs)
    {
        host.Reconfigure(topicId, configs);
        return Task.CompletedTask;
    }
}

/// <param name="Target">
/// The broker to which the leader is to give its leadership; -1 tells a replica that is out of sync that it may lead if nobody else can.
/// </param>
[GenerateSerializer, Immutable, Alias("arus.LeaderElection")]
internal readonly record struct LeaderElection(Guid TopicId, int Partition, int Target);

/// <param name="FencedEpoch">The newest epoch that the log has followed.</param>
/// <param name="LatestEpoch">Of its last record; -1 without records.</param>
[GenerateSerializer, Immutable, Alias("arus.LogDescription")]
internal readonly record struct LogDescription(
    Guid TopicId, int Partition, Guid LogId, int FencedEpoch, int LatestEpoch, long LogEndOffset);

/// <summary>The services of the brokers, by silo. Safe for use by any thread of a silo.</summary>
internal interface IBrokerServices
{
    IBrokerService Of(SiloAddress silo);
}

/// <inheritdoc cref="IBrokerServices"/>
internal sealed class BrokerServices(IServiceProvider services) : GrainServiceClient<IBrokerService>(services), IBrokerServices
{
    public IBrokerService Of(SiloAddress silo) => GetGrainService(silo);
}
