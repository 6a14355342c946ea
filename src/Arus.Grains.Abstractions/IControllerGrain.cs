using Arus.Protocol;
using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>
/// What an operator asks of the cluster as a whole: other leaders, other replicas, and how these are spread. One grain, key 0. Nothing
/// needs it to stay available: brokers elect leaders by themselves. Failures of single partitions are in the responses.
/// </summary>
[Alias("arus.IControllerGrain")]
public interface IControllerGrain : IGrainWithIntegerKey
{
    /// <summary>Moves leaderships to the preferred leaders, or lets who is out of sync lead; answers when the leaders lead.</summary>
    [Alias("ElectLeaders"), AlwaysInterleave]
    Task<ElectLeadersResponse> ElectLeadersAsync(ElectLeadersRequest request);

    /// <summary>Begins and cancels reassignments. They are durable when the call returns, and go on by themselves.</summary>
    [Alias("AlterPartitionReassignments"), AlwaysInterleave]
    Task<AlterPartitionReassignmentsResponse> AlterPartitionReassignmentsAsync(AlterPartitionReassignmentsRequest request);

    /// <summary>The reassignments that are under way.</summary>
    [Alias("ListPartitionReassignments"), AlwaysInterleave]
    Task<ListPartitionReassignmentsResponse> ListPartitionReassignmentsAsync(ListPartitionReassignmentsRequest request);

    /// <summary>
    /// Gives a leader to partitions whose logs have followed leaders that the database does not know, or of which it does not know who is
    /// in sync, as after a restore of the database: the replica whose log goes furthest, in an epoch that nobody had.
    /// </summary>
    /// <param name="isForced">Also where a replica is away, whose records may be lost then.</param>
    /// <returns>Those partitions only, each with a message.</returns>
    [Alias("RestoreMetadata"), AlwaysInterleave]
    Task<ElectLeadersResponse> RestoreMetadataAsync(bool isForced);

    /// <summary>How partitions are spread over brokers now.</summary>
    [Alias("DescribeBalance"), AlwaysInterleave]
    Task<ClusterBalance> DescribeBalanceAsync();

    /// <summary>
    /// Lets a broker give away what it leads and keeps, as far as others can take it, until that is undone; it is durable when the call
    /// returns, and goes on by itself.
    /// </summary>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.BrokerIdNotRegistered"/>, or <see cref="ErrorCode.InvalidRequest"/>: nobody could take anything.
    /// </exception>
    [Alias("Drain")]
    Task DrainAsync(int brokerId, bool isUndone);

    /// <summary>The brokers that are being drained, or are drained.</summary>
    [Alias("GetDraining"), AlwaysInterleave]
    Task<int[]> GetDrainingAsync();

    /// <summary>Stops the moves that spread partitions evenly, or lets them go on; drains go on in any case. It is durable.</summary>
    [Alias("PauseRebalance")]
    Task PauseRebalanceAsync(bool isPaused);

    /// <summary>Moves some of what the balance of the cluster wants to move. Brokers call it again and again.</summary>
    /// <returns>Whether there is more to be done.</returns>
    [Alias("Balance")]
    Task<bool> BalanceAsync();
}

/// <param name="Partitions">In the whole cluster.</param>
/// <param name="Leaderless">Those that nobody leads now.</param>
/// <param name="UnderReplicated">Those with fewer replicas in sync than replicas.</param>
/// <param name="Reassigning">Those whose reassignment is under way.</param>
/// <param name="Brokers">All that are alive or keep a partition, by id.</param>
/// <param name="IsPaused">Nothing is moved for the sake of an even spread.</param>
/// <param name="ExcessReplicas">Replicas above their brokers' even share; 0 where the spread is even enough.</param>
/// <param name="ExcessLeaders">Preferred leaderships above their brokers' even share; 0 where the spread is even enough.</param>
[GenerateSerializer, Immutable, Alias("arus.ClusterBalance")]
public sealed record ClusterBalance(
    int Partitions, int Leaderless, int UnderReplicated, int Reassigning, BrokerBalance[] Brokers, bool IsPaused, int ExcessReplicas,
    int ExcessLeaders);

/// <param name="Leaders">Partitions that it leads.</param>
/// <param name="Replicas">Partitions that it keeps, or is to keep, the led ones included.</param>
/// <param name="OutOfSync">Of these, those of which it is not in sync.</param>
/// <param name="IsDraining">It is to give away what it leads and keeps.</param>
/// <param name="Remaining">Of a draining broker: leaderships and replicas that it still has to give away.</param>
[GenerateSerializer, Immutable, Alias("arus.BrokerBalance")]
public sealed record BrokerBalance(
    int BrokerId, bool IsAlive, string? Rack, int Leaders, int Replicas, int OutOfSync, bool IsDraining, int Remaining);
