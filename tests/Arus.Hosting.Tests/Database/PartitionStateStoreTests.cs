using System.Collections.Concurrent;
using Arus.Coordination.Replication;
using Arus.Grains;
using Arus.Hosting.Database;
using Arus.Testing;
using Npgsql;

namespace Arus.Hosting.Tests;

/// <summary>
/// What every store of partition states does: the one on PostgreSQL, and the one in memory with which clusters are tested.
/// </summary>
public sealed class PartitionStateStoreTests
{
    private static readonly Guid Topic = Guid.NewGuid();

    private static readonly Dictionary<string, Func<IPartitionStateStore, Task>> Scenarios = new()
    {
        ["states come back as they were created, and later creations leave them alone"] = CreatesAsync,
        ["a swap of the current version wins, every other loses and is told the state as it is"] = SwapsAsync,
        ["the swaps of a batch are won and lost each by itself"] = SwapsEachAsync,
        ["versions grow over all partitions, and a read gives what came after one"] = ReadsAsync,
        ["of writers that race for the same states each state has one winner"] = RacesAsync,
        ["deleted states are marked, win no swap, are not created anew, and go when they are old"] = DeletesAsync,
        ["creators that race make each state once"] = CreationsRaceAsync,
        ["nothing is asked of nothing"] = NothingAsync,
    };

    public static TheoryData<string> Names() => [.. Scenarios.Keys];

    [Theory, MemberData(nameof(Names))]
    public Task In_memory(string scenario) => Scenarios[scenario](new InMemoryPartitionStateStore());

    [PostgresTheory, MemberData(nameof(Names))]
    public async Task On_PostgreSQL(string scenario)
    {
        PostgresServer server = await PostgresServer.SharedAsync();
        await using NpgsqlDataSource source = DatabaseSource.Create(await server.CreateDatabaseAsync(), "test");
        await DatabaseSchema.CreateAsync(source, TestTimeout.Token);
        await Scenarios[scenario](await OpenAsync(source));
    }

    [PostgresFact]
    public async Task A_database_that_is_away_is_a_storage_failure_and_serves_again_when_it_is_back()
    {
        await using PostgresServer server = await PostgresServer.StartNewAsync();
        await using NpgsqlDataSource source = DatabaseSource.Create(await server.CreateDatabaseAsync(), "test");
        await DatabaseSchema.CreateAsync(source, TestTimeout.Token);
        NpgsqlPartitionStateStore store = await OpenAsync(source);
        PartitionState created = (await store.CreateAsync([New(0)]))[0];
        await server.KillAsync();
        IOException failure = await Assert.ThrowsAsync<IOException>(() => store.SwapAsync([created with { Leader = 1 }]));
        Assert.Contains("The database failed", failure.Message);
        await Assert.ThrowsAsync<IOException>(() => store.PurgeAsync(TimeSpan.Zero));
        await server.StartAsync();

        // Connections of the pool that broke are found out one by one.
        StateSwapResult[] swapped = await Eventually.AsksAsync(
            () => store.SwapAsync([created with { Leader = 1 }]), _ => true, e => e is IOException, TestTimeout.Value);
        Assert.Equal((true, 1), (swapped[0].Won, swapped[0].State!.Leader));
        Assert.True(swapped[0].State!.Version > created.Version);
    }

    [PostgresFact]
    public async Task Who_is_declared_dead_changes_nothing_even_while_that_is_being_committed()
    {
        PostgresServer server = await PostgresServer.SharedAsync();
        await using NpgsqlDataSource source = DatabaseSource.Create(await server.CreateDatabaseAsync(), "test");
        await DatabaseSchema.CreateAsync(source, TestTimeout.Token);
        NpgsqlPartitionStateStore store = await OpenAsync(source);
        PartitionState created = (await store.CreateAsync([New(0)]))[0];
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(TestTimeout.Token);
        await using NpgsqlTransaction declaration = await connection.BeginTransactionAsync(TestTimeout.Token);
        await using (var declare = new NpgsqlCommand("UPDATE arus_membership SET status = 6", connection, declaration))
            Assert.Equal(1, await declare.ExecuteNonQueryAsync(TestTimeout.Token));

        Task<StateSwapResult[]> swap = store.SwapAsync([created with { Leader = 1 }]);
        await Eventually.AsksAsync(
            () => CountWaitingAsync(source), waiting => waiting == 1, _ => false, TestTimeout.Value);
        await declaration.CommitAsync(TestTimeout.Token);
        StateSwapResult refused = (await swap)[0];
        Assert.False(refused.Won);
        Assert.Equal(created, refused.State, Same);
        Assert.Equal(created, Assert.Single(await store.ReadAsync(0)), Same);
    }

    /// <summary>The store of a silo that the membership names as alive.</summary>
    private static async Task<NpgsqlPartitionStateStore> OpenAsync(NpgsqlDataSource source)
    {
        await using NpgsqlCommand join = source.CreateCommand("""
            INSERT INTO arus_membership VALUES ('arus', '127.0.0.1', 11111, 7, 'broker-1', 'here', 3, 30000, null, now(), now())
            """);
        await join.ExecuteNonQueryAsync(TestTimeout.Token);
        return new NpgsqlPartitionStateStore(source, new SiloLife("arus", "broker-1", 7));
    }

    private static async Task<long> CountWaitingAsync(NpgsqlDataSource source)
    {
        await using NpgsqlCommand count = source.CreateCommand(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'");
        return (long)(await count.ExecuteScalarAsync(TestTimeout.Token))!;
    }

    [Fact]
    public async Task The_store_in_memory_fails_as_it_is_told()
    {
        var store = new InMemoryPartitionStateStore();
        PartitionState created = (await store.CreateAsync([New(0)]))[0];
        store.Fault = StoreFault.Away;
        await Assert.ThrowsAsync<IOException>(() => store.SwapAsync([created with { Leader = 1 }]));
        await Assert.ThrowsAsync<IOException>(() => store.ReadAsync(0));
        store.Fault = StoreFault.AppliesLate;
        await Assert.ThrowsAsync<IOException>(() => store.SwapAsync([created with { Leader = 2 }]));
        store.Fault = StoreFault.None;
        Assert.Equal(created, (await store.ReadAsync(0))[0], Same);
        store.ApplyLate();
        PartitionState late = (await store.ReadAsync(0))[0];
        Assert.Equal(2, late.Leader);
        store.Fault = StoreFault.LosesAnswers;
        await Assert.ThrowsAsync<IOException>(() => store.SwapAsync([late with { Leader = 3 }]));
        store.Fault = StoreFault.None;
        Assert.Equal(3, (await store.ReadAsync(late.Version))[0].Leader);
    }

    private static async Task CreatesAsync(IPartitionStateStore store)
    {
        PartitionState full = New(1) with
        {
            LeaderEpoch = 3, Leader = 2, Isr = [Member(1), Member(2)], Elr = [Member(3)], IsUnclean = true, IsShared = true,
            Target = [4, 2],
        };
        IReadOnlyList<PartitionState> created = await store.CreateAsync([full, New(0)]);
        Assert.Equal([full.Id, New(0).Id], created.Select(state => state.Id));
        Assert.Equal(full with { Version = created[0].Version }, created[0], Same);
        PartitionState again = Assert.Single(await store.CreateAsync([full with { Leader = 9 }]));
        Assert.Equal(created[0], again, Same);
        Assert.Equal(created.OrderBy(state => state.Version), await store.ReadAsync(0), Same);
    }

    private static async Task SwapsAsync(IPartitionStateStore store)
    {
        PartitionState first = (await store.CreateAsync([New(0)]))[0];
        StateSwapResult won = (await store.SwapAsync([first with { LeaderEpoch = 0, Leader = 1, Isr = [Member(1)] }]))[0];
        Assert.True(won.Won);
        Assert.True(won.State!.Version > first.Version);
        Assert.Equal(first with { LeaderEpoch = 0, Leader = 1, Isr = won.State.Isr, Version = won.State.Version }, won.State, Same);
        StateSwapResult lost = (await store.SwapAsync([first with { Leader = 2 }]))[0];
        Assert.False(lost.Won);
        Assert.Equal(won.State, lost.State, Same);
        StateSwapResult unknown = (await store.SwapAsync([New(7) with { Version = 1 }]))[0];
        Assert.Equal(new StateSwapResult(false, null), unknown);
    }

    private static async Task SwapsEachAsync(IPartitionStateStore store)
    {
        IReadOnlyList<PartitionState> created = await store.CreateAsync([New(0), New(1), New(2)]);
        await store.SwapAsync([created[1] with { Leader = 8 }]);
        StateSwapResult[] results = await store.SwapAsync([.. created.Reverse().Select(state => state with { Leader = 5 })]);
        Assert.Equal([true, false, true], results.Select(result => result.Won));
        Assert.Equal([5, 8, 5], results.Select(result => result.State!.Leader));
        Assert.Equal([2, 1, 0], results.Select(result => result.State!.Id.Partition));
    }

    private static async Task ReadsAsync(IPartitionStateStore store)
    {
        IReadOnlyList<PartitionState> created = await store.CreateAsync([.. Enumerable.Range(0, 5).Select(New)]);
        Assert.Equal(5, created.Select(state => state.Version).Distinct().Count());
        long last = created.Max(state => state.Version);
        Assert.Empty(await store.ReadAsync(last));
        StateSwapResult swapped = (await store.SwapAsync([created[3] with { Leader = 1 }]))[0];
        Assert.Equal(swapped.State, Assert.Single(await store.ReadAsync(last)), Same);
        Assert.Equal(5, (await store.ReadAsync(0)).Count);
    }

    private static async Task RacesAsync(IPartitionStateStore store)
    {
        const int Writers = 8;
        const int Rounds = 10;
        IReadOnlyList<PartitionState> states = await store.CreateAsync([.. Enumerable.Range(0, 20).Select(New)]);
        for (int round = 0; round < Rounds; round++)
        {
            var results = new ConcurrentBag<(int Writer, StateSwapResult[] Swaps)>();
            await Task.WhenAll(Enumerable.Range(1, Writers).Select(writer => Task.Run(async () =>
            {
                // Each in another order: batches that wait for each other would end in a deadlock.
                PartitionState[] mine = [.. states.Select(state => state with { Leader = writer, LeaderEpoch = state.LeaderEpoch + 1 })];
                new Random(writer).Shuffle(mine);
                results.Add((writer, await store.SwapAsync(mine)));
            })));
            PartitionState[] after = [.. (await store.ReadAsync(0)).OrderBy(state => state.Id.Partition)];
            foreach (PartitionState state in after)
            {
                (int Writer, StateSwapResult Swap)[] swaps = [.. results.SelectMany(
                    result => result.Swaps.Where(swap => swap.State!.Id == state.Id).Select(swap => (result.Writer, swap)))];
                Assert.Equal(Writers, swaps.Length);
                Assert.Equal(state.Leader, Assert.Single(swaps, swap => swap.Swap.Won).Writer);
                Assert.All(swaps, swap => Assert.Equal(state, swap.Swap.State, Same));
                Assert.Equal(round, state.LeaderEpoch);
            }

            states = after;
        }
    }

    private static async Task DeletesAsync(IPartitionStateStore store)
    {
        var other = new PartitionId(Guid.NewGuid(), 0);
        IReadOnlyList<PartitionState> created = await store.CreateAsync([New(0), New(1), New(0) with { Id = other }]);
        long last = created.Max(state => state.Version);
        IReadOnlyList<PartitionState> deleted = await store.DeleteAsync(Topic);
        Assert.Equal([(0, true), (1, true)], deleted.Select(state => (state.Id.Partition, state.IsDeleted)));
        Assert.Equal(deleted, (await store.ReadAsync(last)).OrderBy(state => state.Id.Partition), Same);
        Assert.Equal(deleted, await store.DeleteAsync(Topic), Same);
        StateSwapResult swap = (await store.SwapAsync([deleted[0] with { Leader = 1, IsDeleted = false }]))[0];
        Assert.False(swap.Won);
        Assert.Equal(deleted[0], swap.State, Same);
        Assert.Equal(deleted[0], (await store.CreateAsync([New(0)]))[0], Same);
        await store.PurgeAsync(TimeSpan.FromHours(1));
        Assert.Equal(3, (await store.ReadAsync(0)).Count);
        await store.PurgeAsync(-TimeSpan.FromHours(1));
        Assert.Equal(other, Assert.Single(await store.ReadAsync(0)).Id);
    }

    private static async Task CreationsRaceAsync(IPartitionStateStore store)
    {
        IReadOnlyList<PartitionState>[] results = await Task.WhenAll(Enumerable.Range(1, 8).Select(writer => Task.Run(() =>
        {
            PartitionState[] mine = [.. Enumerable.Range(0, 20).Select(partition => New(partition) with { Leader = writer })];
            return writer % 2 == 0 ? store.CreateAsync(mine) : store.CreateAsync([.. mine.Reverse()]);
        })));
        IReadOnlyList<PartitionState> stored = [.. (await store.ReadAsync(0)).OrderBy(state => state.Id.Partition)];
        Assert.Equal(20, stored.Count);
        Assert.All(results, result => Assert.Equal(stored, result.OrderBy(state => state.Id.Partition), Same));
    }

    private static async Task NothingAsync(IPartitionStateStore store)
    {
        Assert.Empty(await store.CreateAsync([]));
        Assert.Empty(await store.SwapAsync([]));
        Assert.Empty(await store.DeleteAsync(Topic));
        await Assert.ThrowsAsync<ArgumentException>(() => store.SwapAsync([New(0), New(0)]));
    }

    private static PartitionState New(int partition) => new(
        "orders", new PartitionId(Topic, partition), 0, -1, -1, [1, 2, 3], [], []);

    private static ReplicaId Member(int broker) => new(broker, Guid.NewGuid());

    /// <summary>Records compare their arrays by reference.</summary>
    private static bool Same(PartitionState? a, PartitionState? b) =>
        a is not null && b is not null && a.Replicas.SequenceEqual(b.Replicas) && a.Isr.SequenceEqual(b.Isr) && a.Elr.SequenceEqual(b.Elr)
        && a.Target.SequenceEqual(b.Target)
        && a with { Replicas = [], Isr = [], Elr = [], Target = [] } == b with { Replicas = [], Isr = [], Elr = [], Target = [] };

    private static bool Same(IEnumerable<PartitionState> a, IEnumerable<PartitionState> b) =>
        a.Count() == b.Count() && a.Zip(b).All(pair => Same(pair.First, pair.Second));
}
