using Arus.Grains;
using Microsoft.Extensions.Hosting;

namespace Arus.Kafka;

/// <summary>
/// Closes the connections of clients when a broker was lost and others lead in its place. A client that has sent something to a broker
/// whose network is silent learns nothing until its own timeout, a minute with librdkafka's defaults, and meanwhile sends on to the lost
/// leader; but the end of any other connection makes it ask for metadata. Requests that were read are answered first, and one that was not
/// read the client sends again, so that nothing is appended twice or out of order.
/// </summary>
internal sealed class ConnectionRenewal(ConnectionRegistry connections, TimeProvider time, ITopicImage? image = null) : IHostedService
{
    /// <summary>Clients are sent away so many at a time, with this pause between: they all come back.</summary>
    private const int GroupSize = 100;

    private static readonly TimeSpan GroupPause = TimeSpan.FromMilliseconds(10);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (image is not null)
            image.LeadersReplaced += Renew;

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        if (image is not null)
            image.LeadersReplaced -= Renew;

        return Task.CompletedTask;
    }

    private void Renew() => _ = RenewAsync(connections.Snapshot());

    private async Task RenewAsync(KafkaConnection[] open)
    {
        foreach (KafkaConnection[] group in open.Chunk(GroupSize))
        {
            Array.ForEach(group, connection => connection.StopReading());
            await Task.Delay(GroupPause, time);
        }
    }
}
