using Arus.Client;

namespace Arus.Chaos;

/// <summary>A group of Arus.Client's consumers with its defaults.</summary>
internal sealed class NativeGroup(IArusClient client, string group, ChaosTopic topic, AvailabilityMeter meter, Journal journal)
    : GroupReader(group, topic, meter, journal)
{
    private static readonly TimeSpan PollTime = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan RejoinPause = TimeSpan.FromSeconds(1);

    public override void Start() => Running = [.. Enumerable.Range(1, Members).Select(i => Task.Run(() => RunAsync($"{Group}-{i}")))];

    private async Task RunAsync(string name)
    {
        while (!Stop.IsCancellationRequested)
        {
            try
            {
                var options = new ConsumerOptions { GroupId = Group, ClientId = name, AutoOffsetReset = AutoOffsetReset.None };
                await using IConsumer<byte[], byte[]> consumer = client.CreateConsumer<byte[], byte[]>(options);
                consumer.Subscribe(Topic.Name);
                while (!Stop.IsCancellationRequested)
                    await PollAsync(consumer, name);
            }
            catch (ArusException e)
            {
                // The group ended the membership: an application begins anew.
                Journal.Detail($"{name} has to join again: {e.Code}: {e.Message}");
                await Task.Delay(RejoinPause);
            }
            catch (Exception e) when (!Stop.IsCancellationRequested)
            {
                Journal.Find($"{name} failed by what its interface does not name: {e.GetType().Name}: {e.Message.Split('\n')[0]}");
                await Task.Delay(RejoinPause);
            }
        }
    }

    private async Task PollAsync(IConsumer<byte[], byte[]> consumer, string name)
    {
        try
        {
            foreach (ConsumeResult<byte[], byte[]> record in await consumer.PollAsync(PollTime))
                Receive(record.Partition.Partition, record.Offset, record.Value);
        }
        catch (ConsumeException e)
        {
            Journal.Find($"{name} lost its position in {e.Partition}: {e.Code}: {e.Message}");
        }
    }
}
