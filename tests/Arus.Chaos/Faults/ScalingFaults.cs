using Arus.Client;

namespace Arus.Chaos;

/// <summary>What an operator does to a cluster that clients use: brokers join, are drained, and leave. Needs the native client.</summary>
internal static class ScalingFaults
{
    private static readonly TimeSpan DrainLimit = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan PollPause = TimeSpan.FromMilliseconds(500);

    /// <summary>A broker joins and takes some of its share, is drained and leaves. The next one has its id and what it kept.</summary>
    public static async Task JoinAndLeaveAsync(FaultScene scene)
    {
        scene.Tell($"broker {scene.Cluster.Brokers.Count + 1} joins");
        Broker broker = await scene.Cluster.AddBrokerAsync();
        await scene.PassAsync(5, 15);
        await using NativeConnection connection = await NativeConnection.ConnectAsync(scene.Cluster, scene.Journal);
        IArusAdmin admin = connection.Client.Admin;
        scene.Tell("leaves");
        await DrainAsync(scene, admin, broker);
        await scene.Cluster.RemoveBrokerAsync(Faults.StopLimit);
        await admin.DrainBrokerAsync(broker.Id, undo: true);
    }

    /// <summary>A broker gives away what others can take, and takes its share again.</summary>
    public static async Task DrainAndReturnAsync(FaultScene scene)
    {
        Broker broker = scene.AnyBroker();
        scene.Tell($"broker {broker.Id}");
        await using NativeConnection connection = await NativeConnection.ConnectAsync(scene.Cluster, scene.Journal);
        await DrainAsync(scene, connection.Client.Admin, broker);
        await connection.Client.Admin.DrainBrokerAsync(broker.Id, undo: true);
    }

    private static async Task DrainAsync(FaultScene scene, IArusAdmin admin, Broker broker)
    {
        await admin.DrainBrokerAsync(broker.Id);
        long start = TimeProvider.System.GetTimestamp();
        while (await RemainingAsync(admin, broker) is > 0 and var remaining)
        {
            if (TimeProvider.System.GetElapsedTime(start) > DrainLimit)
            {
                scene.Journal.Find($"{remaining} are left of broker {broker.Id} after {DrainLimit.TotalSeconds:0} s of draining");
                return;
            }

            await Task.Delay(PollPause);
        }
    }

    private static async Task<int> RemainingAsync(IArusAdmin admin, Broker broker) =>
        (await admin.DescribeBalanceAsync()).Brokers.FirstOrDefault(one => one.BrokerId == broker.Id)?.Remaining ?? 0;
}
