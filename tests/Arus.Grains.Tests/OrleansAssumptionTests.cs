using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Runtime.Hosting;
using Orleans.Storage;
using Orleans.TestingHost;

namespace Arus.Grains.Tests;

/// <summary>
/// What product code relies on and Orleans does not document, each fact with the member that relies on it: a new version of Orleans that
/// fails one of these breaks that member.
/// </summary>
public sealed class OrleansAssumptionTests(OrleansAssumptionTests.OneSilo cluster) : IClassFixture<OrleansAssumptionTests.OneSilo>
{
    private readonly IAssumedGrain _grain = cluster.Grains.GetGrain<IAssumedGrain>(Guid.NewGuid().ToString("N"));

    /// <summary><see cref="IPartitionGrain.AppendAsync"/>: record bytes travel without copies inside a silo.</summary>
    [Fact]
    public async Task Immutable_arguments_and_results_are_shared_inside_a_silo() =>
        Assert.True(await _grain.SharesWithAnotherAsync("another"));

    /// <summary>StorageFailure.Is, which looks through exactly this wrapper and no subclass of it.</summary>
    [Fact]
    public async Task What_a_storage_provider_throws_arrives_inside_exactly_an_OrleansException()
    {
        cluster.Storage.Failure = new IOException("No space left on device");
        Exception failed = await Assert.ThrowsAnyAsync<Exception>(_grain.AddAsync);
        Assert.Equal(typeof(OrleansException), failed.GetType());
        Assert.Equal("No space left on device", Assert.IsType<IOException>(failed.InnerException).Message);
    }

    /// <summary>
    /// TopicGrain.WriteAsync and PartitionGrain.LeadAsync: of two activations the one with the older ETag fails, and is followed by one
    /// that reads what is stored.
    /// </summary>
    [Fact]
    public async Task A_stale_ETag_fails_the_write_and_the_next_activation_reads_what_is_stored()
    {
        await _grain.AddAsync();
        Guid run = await _grain.RunAsync();
        cluster.Storage.Overwrite(_grain.GetGrainId(), 40);

        var stale = await Assert.ThrowsAsync<InconsistentStateException>(_grain.AddAsync);
        Assert.NotEqual(stale.StoredEtag, stale.CurrentEtag);
        await Signals.WaitAsync($"{run} gone");
        Assert.Equal(41, await _grain.AddAsync());
    }

    /// <summary>CoordinatorGrain.OnActivateAsync: a group whose state cannot be read answers its callers with the reason.</summary>
    [Fact]
    public async Task What_an_activation_throws_reaches_the_caller()
    {
        var failing = cluster.Grains.GetGrain<IFailingGrain>(Guid.NewGuid().ToString("N"));
        Assert.Contains("not today", (await Assert.ThrowsAnyAsync<Exception>(failing.PingAsync)).ToString());
    }

    /// <summary>CoordinatorGrain.ArmTimer and TopicCatalogGrain.OnActivateAsync: what waits for the tick is a running call.</summary>
    [Fact]
    public async Task A_timer_that_interleaves_ticks_while_a_call_runs() => Assert.True(await _grain.WaitForTickAsync(interleave: true));

    /// <summary>The contrary, for which CoordinatorGrain.ArmTimer has to declare it.</summary>
    [Fact]
    public async Task A_timer_that_does_not_interleave_waits_for_the_end_of_the_call() =>
        Assert.False(await _grain.WaitForTickAsync(interleave: false));

    /// <summary>
    /// <see cref="IPartitionGrain.WaitForOffsetAsync"/>: appends run beside calls that wait for them.
    /// <see cref="ITopicGrain.ReportLeaderAsync"/>: a partition that a topic's call waits for reports its leader.
    /// </summary>
    [Fact]
    public async Task A_call_declared_to_interleave_runs_while_another_waits_and_a_plain_one_does_not()
    {
        string signal = Guid.NewGuid().ToString("N");
        Task held = _grain.HoldAsync(signal);
        await Signals.WaitAsync($"{signal} held");
        Task<Guid> plain = _grain.PlainAsync();
        await _grain.RunAsync();
        Assert.False(plain.IsCompleted);
        await _grain.SetAsync(signal);
        await held;
        await plain;
    }

    /// <summary><see cref="ArusException.Code"/>, which callers in other processes map to their protocol.</summary>
    [Fact]
    public async Task Members_of_an_exception_cross_the_wire()
    {
        var refused = await Assert.ThrowsAsync<ArusException>(_grain.RefuseAsync);
        Assert.Equal((ErrorCode.InvalidTopicException, "no such name"), (refused.Code, refused.Message));
    }

    /// <summary>PartitionPlacementDirector.OnAddActivation, which asks a topic that may not be able to answer.</summary>
    [Fact]
    public async Task What_a_placement_director_throws_reaches_the_caller()
    {
        var misplaced = cluster.Grains.GetGrain<IMisplacedGrain>(Guid.NewGuid().ToString("N"));
        Assert.Contains("nowhere to put it", (await Assert.ThrowsAnyAsync<Exception>(misplaced.PingAsync)).ToString());
    }

    /// <summary><see cref="GroupKey"/>: a group with such an id could have no grain.</summary>
    [Theory]
    [InlineData("")]
    [InlineData(" \t")]
    public void A_blank_key_is_refused(string key) => Assert.Throws<ArgumentException>(() => cluster.Grains.GetGrain<IAssumedGrain>(key));

    /// <summary>One silo and a client that reaches it by serialized messages.</summary>
    public sealed class OneSilo : IAsyncLifetime
    {
        internal static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

        private InProcessTestCluster _cluster = null!;

        internal IGrainFactory Grains => _cluster.Client;

        internal TestStorage Storage { get; } = new();

        public async Task InitializeAsync()
        {
            var builder = new InProcessTestClusterBuilder(1);
            builder.ConfigureSilo((_, silo) =>
            {
                silo.Services.AddGrainStorage(TestStorage.Name, (_, _) => Storage);
                silo.AddPlacementDirector<NowherePlacement, NowhereDirector>();
            });
            _cluster = builder.Build();
            await _cluster.DeployAsync().WaitAsync(Limit);
        }

        public async Task DisposeAsync() => await _cluster.DisposeAsync();
    }

    internal static class Signals
    {
        private static readonly ConcurrentDictionary<string, TaskCompletionSource> All = new();

        public static void Set(string name) => Of(name).TrySetResult();

        public static Task WaitAsync(string name) => Of(name).Task.WaitAsync(OneSilo.Limit);

        private static TaskCompletionSource Of(string name) =>
            All.GetOrAdd(name, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
    }

    /// <summary>Numbers by grain, with ETags. A failure is thrown once.</summary>
    internal sealed class TestStorage : IGrainStorage
    {
        public const string Name = "assumed";

        private readonly ConcurrentDictionary<GrainId, (string ETag, object State)> _states = new();

        public Exception? Failure { get; set; }

        public void Overwrite(GrainId grain, int count) => _states[grain] = (Guid.NewGuid().ToString("N"), new Tally { Count = count });

        public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            grainState.RecordExists = _states.TryGetValue(grainId, out (string ETag, object State) stored);
            grainState.State = (T)(object)new Tally { Count = (stored.State as Tally)?.Count ?? 0 };
            grainState.ETag = stored.ETag;
            return Task.CompletedTask;
        }

        public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
        {
            if (Failure is { } failure)
            {
                Failure = null;
                throw failure;
            }

            string? stored = _states.TryGetValue(grainId, out (string ETag, object State) old) ? old.ETag : null;
            if (stored != grainState.ETag)
                throw new InconsistentStateException("stale", stored, grainState.ETag);

            Overwrite(grainId, ((Tally)(object)grainState.State!).Count);
            grainState.ETag = _states[grainId].ETag;
            grainState.RecordExists = true;
            return Task.CompletedTask;
        }

        public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => throw new NotSupportedException();
    }
}
