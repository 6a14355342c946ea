using Arus.Grains;
using Arus.Protocol;

namespace Arus.Gateway.Tests;

/// <summary>What a connection leaves behind when its client is gone in the middle of a request.</summary>
public sealed class DeadClientTests
{
    public static TheoryData<string> Waits => ["join", "sync"];

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_rebalance_is_not_waited_for_any_more(string wait)
    {
        await using var gateway = new GatewayHarness();
        FakeGroup group = gateway.Cluster.Group("g");
        group.Rebalance = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        TestConnection connection = gateway.Connect();
        await connection.SendAsync(Request(wait), 5);
        await group.Waiting.Task;

        await connection.CloseAsync();
        await connection.Serving;

        // The call that was under way ends as it would; nobody asks again, and the member stays until its session ends.
        group.Joins.Enqueue(new JoinGroupResult(ErrorCode.None, true, "m-1", -1, null, null, "", false, []));
        group.Syncs.Enqueue(new SyncGroupResult(ErrorCode.None, true, null, null, default));
        group.Rebalance.SetResult();
        Assert.InRange(group.JoinCommands.Count, 0, 1);
        Assert.Empty(gateway.Log.Complaints);
        Assert.Equal(0, gateway.Get<ConnectionRegistry>().Count);
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_server_that_stops_does_not_wait_for_a_rebalance(string wait)
    {
        await using var gateway = new GatewayHarness();
        FakeGroup group = gateway.Cluster.Group("g");
        group.Rebalance = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        TestConnection connection = gateway.Connect();
        await connection.SendAsync(Request(wait), 5);
        await group.Waiting.Task;

        Assert.Single(gateway.Get<ConnectionRegistry>().Snapshot()).StopReading();

        await connection.Serving;
        Assert.Null(await connection.ReceiveFrameAsync());
    }

    private static IApiMessage Request(string wait) => wait == "join"
        ? new JoinGroupRequest { GroupId = "g", ProtocolType = "consumer", SessionTimeoutMs = 10_000, Protocols = [new() { Name = "range" }] }
        : new SyncGroupRequest { GroupId = "g", MemberId = "m-1", GenerationId = 1 };
}
