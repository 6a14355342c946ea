using Orleans;
using Orleans.Runtime;

namespace Arus.Orleans.Parity;

[Collection(ParityCollection.Name)]
public sealed class CallTests(ParityCluster cluster)
{
    private readonly string _key = Guid.NewGuid().ToString("N");

    private ICallGrain Grain => cluster.Grains.GetGrain<ICallGrain>(_key);

    public static TheoryData<int> Places() => [0, 1, 2, 3, 4, 5];

    [Fact]
    public async Task Arguments_and_results_are_isolated_between_a_client_and_a_grain()
    {
        var box = new Box { Numbers = [1] };
        await Grain.ChangeAsync(box);
        Assert.Equal(1, box.Numbers[0]);
        (await Grain.GiveOwnAsync()).Numbers[0] = 99;
        Assert.Equal(1, await Grain.ReadOwnAsync());
    }

    [Fact]
    public async Task Arguments_and_results_are_isolated_between_grains_of_one_silo()
    {
        Assert.Equal(await Grain.WhereAsync(), await Grain.WhereIsAnotherAsync($"{_key} other"));
        Assert.False(await Grain.ChangesOfAnotherReachItsArgumentAsync($"{_key} other"));
    }

    [Fact]
    public async Task Immutable_arguments_are_shared_between_grains_of_one_silo()
    {
        Assert.Equal(await Grain.WhereAsync(), await Grain.WhereIsAnotherAsync($"{_key} other"));
        Assert.True(await Grain.SharesSealedWithAnotherAsync($"{_key} other"));
    }

    [Fact]
    public async Task Exceptions_arrive_with_type_message_members_and_trace()
    {
        var shape = await Assert.ThrowsAsync<ShapeException>(() => Grain.ThrowAsync("shape"));
        Assert.Equal(("a shape", 5), (shape.Message, shape.Corners));
        Assert.Contains(nameof(CallGrain.ThrowAsync), shape.StackTrace);

        var refused = await Assert.ThrowsAsync<ArusException>(() => Grain.ThrowAsync("arus"));
        Assert.Equal((ErrorCode.InvalidTopicException, "no such name"), (refused.Code, refused.Message));

        var argument = await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => Grain.ThrowAsync("argument"));
        Assert.Contains("too many", argument.Message);

        var nested = await Assert.ThrowsAsync<InvalidOperationException>(() => Grain.ThrowAsync("nested"));
        Assert.Equal("inner", Assert.IsType<ShapeException>(nested.InnerException).Message);
    }

    [Theory, MemberData(nameof(Places))]
    public async Task Exceptions_pass_through_grains(int place)
    {
        var shape = await Assert.ThrowsAsync<ShapeException>(() => Grain.ThrowFromAnotherAsync($"{_key} {place}", "shape"));
        Assert.Equal(5, shape.Corners);
    }

    [Fact]
    public void No_grain_has_a_blank_key()
    {
        Assert.All(new[] { "", " \t" }, blank => Assert.Throws<ArgumentException>(() => cluster.Grains.GetGrain<ICallGrain>(blank)));
        Assert.All(new[] { "", " \t" }, blank => Assert.Throws<ArgumentException>(() => GrainId.Create("call", blank)));
    }

    [Fact]
    public async Task The_request_context_flows_down_and_not_up()
    {
        try
        {
            RequestContext.Set("who", "me");
            Assert.Equal("me", await Grain.ContextAsync("who"));
            Assert.Equal("me", await Grain.ContextOfAnotherAsync($"{_key} other", "who"));
            await Grain.SetContextAsync("back", "value");
            Assert.Null(RequestContext.Get("back"));
        }
        finally
        {
            RequestContext.Clear();
        }

        Assert.Null(await Grain.ContextAsync("who"));
    }

    [Fact]
    public async Task References_travel_as_arguments() =>
        Assert.Equal("another", await Grain.GreetThroughAsync(cluster.Grains.GetGrain<ICallGrain>("another")));

    [Fact]
    public async Task An_observer_is_called_back()
    {
        var observer = new Observer();
        ICallObserver reference = cluster.Cluster.Client.CreateObjectReference<ICallObserver>(observer);
        await Grain.NotifyAsync(reference, 42);
        Assert.Equal(42, await observer.Received.Task.WaitAsync(TimeSpan.FromSeconds(30)));
        cluster.Cluster.Client.DeleteObjectReference<ICallObserver>(reference);
        GC.KeepAlive(observer);
    }

    [Fact]
    public async Task A_placement_of_ones_own_is_obeyed()
    {
        foreach (string silo in cluster.Cluster.Silos.Select(s => s.Name))
        {
            for (int i = 0; i < 5; i++)
            {
                Assert.Equal(silo, await cluster.Grains.GetGrain<IPinnedGrain>($"{_key}{i}@{silo}").WhereAsync());
            }
        }
    }

    [Fact]
    public async Task What_a_placement_throws_reaches_the_caller() =>
        Assert.Contains("nowhere", (await Assert.ThrowsAnyAsync<Exception>(
            () => cluster.Grains.GetGrain<IPinnedGrain>($"{_key}@nowhere").WhereAsync())).ToString());

    [Fact]
    public async Task The_management_grain_lists_the_silos()
    {
        Dictionary<SiloAddress, SiloStatus> hosts = await cluster.Grains.GetGrain<IManagementGrain>(0).GetHosts(onlyActive: true);
        Assert.Equal(
            cluster.Cluster.Silos.Select(s => s.SiloAddress.ToString()).Order(),
            hosts.Where(h => h.Value == SiloStatus.Active).Select(h => h.Key.ToString()).Order());
    }

    private sealed class Observer : ICallObserver
    {
        public TaskCompletionSource<int> Received { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task OnNumberAsync(int number)
        {
            Received.TrySetResult(number);
            return Task.CompletedTask;
        }
    }
}
