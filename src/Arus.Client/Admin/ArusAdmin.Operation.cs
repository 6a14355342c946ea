using Arus.Grains;
using AlterPartitionReassignmentsRequest = Arus.Protocol.AlterPartitionReassignmentsRequest;
using AlterPartitionReassignmentsResponse = Arus.Protocol.AlterPartitionReassignmentsResponse;
using ElectLeadersRequest = Arus.Protocol.ElectLeadersRequest;
using ElectLeadersResponse = Arus.Protocol.ElectLeadersResponse;
using ListPartitionReassignmentsResponse = Arus.Protocol.ListPartitionReassignmentsResponse;

namespace Arus.Client;

/// <summary>Leaders and replicas.</summary>
internal sealed partial class ArusAdmin
{
    private IControllerGrain Controller => grains.GetGrain<IControllerGrain>(0);

    public async Task<ClusterBalance> DescribeBalanceAsync(CancellationToken cancellationToken = default)
    {
        Grains.ClusterBalance balance =
            await retry.CallAsync(() => Controller.DescribeBalanceAsync(), cancellationToken).ConfigureAwait(false);
        return new ClusterBalance(
            balance.Partitions, balance.Leaderless, balance.UnderReplicated, balance.Reassigning,
            [
                .. balance.Brokers.Select(b => new BrokerBalance(
                    b.BrokerId, b.IsAlive, b.Rack, b.Leaders, b.Replicas, b.OutOfSync, b.IsDraining, b.Remaining)),
            ],
            balance.IsPaused, balance.ExcessReplicas, balance.ExcessLeaders);
    }

    public Task PauseRebalanceAsync(bool pause, CancellationToken cancellationToken = default) =>
        ChangeAsync(Controller.PauseRebalanceAsync(pause), cancellationToken);

    public Task DrainBrokerAsync(int brokerId, bool undo = false, CancellationToken cancellationToken = default) =>
        ChangeAsync(Controller.DrainAsync(brokerId, undo), cancellationToken);

    public async Task<IReadOnlyList<PartitionOutcome>> ElectLeadersAsync(
        LeaderElectionType type, IReadOnlyCollection<TopicPartition>? partitions, CancellationToken cancellationToken = default)
    {
        var request = new ElectLeadersRequest
        {
            ElectionType = (sbyte)type,
            TopicPartitions = partitions is null ? null :
            [
                .. partitions.GroupBy(partition => partition.Topic).Select(topic => new ElectLeadersRequest.ElectedTopic
                {
                    Topic = topic.Key, Partitions = [.. topic.Select(partition => partition.Partition)],
                }),
            ],
        };
        ElectLeadersResponse response =
            await ChangeAsync(Controller.ElectLeadersAsync(request), cancellationToken).ConfigureAwait(false);
        ThrowIfRefused(response.ErrorCode, "The election was refused.");
        return OutcomesOf(response);
    }

    public async Task<IReadOnlyList<PartitionOutcome>> RestoreMetadataAsync(
        bool force = false, CancellationToken cancellationToken = default) =>
        OutcomesOf(await ChangeAsync(Controller.RestoreMetadataAsync(force), cancellationToken).ConfigureAwait(false));

    private static IReadOnlyList<PartitionOutcome> OutcomesOf(ElectLeadersResponse response) =>
        [.. response.ReplicaElectionResults.SelectMany(topic => topic.PartitionResult.Select(
            result => new PartitionOutcome(new(topic.Topic, result.PartitionId), result.ErrorCode, result.ErrorMessage)))];

    public async Task<IReadOnlyList<PartitionOutcome>> AlterPartitionReassignmentsAsync(
        IReadOnlyCollection<NewReassignment> reassignments, CancellationToken cancellationToken = default)
    {
        var request = new AlterPartitionReassignmentsRequest
        {
            Topics =
            [
                .. reassignments.GroupBy(one => one.Partition.Topic)
                    .Select(topic => new AlterPartitionReassignmentsRequest.ReassignableTopic
                    {
                        Name = topic.Key,
                        Partitions = [.. topic.Select(one => new AlterPartitionReassignmentsRequest.ReassignablePartition
                        {
                            PartitionIndex = one.Partition.Partition, Replicas = one.Replicas is null ? null : [.. one.Replicas],
                        })],
                    }),
            ],
        };
        AlterPartitionReassignmentsResponse response =
            await ChangeAsync(Controller.AlterPartitionReassignmentsAsync(request), cancellationToken).ConfigureAwait(false);
        ThrowIfRefused(response.ErrorCode, response.ErrorMessage);
        return [.. response.Responses.SelectMany(topic => topic.Partitions.Select(
            result => new PartitionOutcome(new(topic.Name, result.PartitionIndex), result.ErrorCode, result.ErrorMessage)))];
    }

    public async Task<IReadOnlyList<PartitionReassignment>> ListPartitionReassignmentsAsync(CancellationToken cancellationToken = default)
    {
        ListPartitionReassignmentsResponse response = await retry.CallAsync(
            () => Controller.ListPartitionReassignmentsAsync(new() { Topics = null }), cancellationToken).ConfigureAwait(false);
        ThrowIfRefused(response.ErrorCode, response.ErrorMessage);
        return [.. response.Topics.SelectMany(topic => topic.Partitions.Select(partition => new PartitionReassignment(
            new(topic.Name, partition.PartitionIndex), partition.Replicas, partition.AddingReplicas, partition.RemovingReplicas)))];
    }
}
