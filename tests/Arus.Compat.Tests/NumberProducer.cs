using System.Collections.Concurrent;
using System.Globalization;
using Confluent.Kafka;

namespace Arus.Compat.Tests;

/// <summary>Writes numbers from 0 on, one after the other, until it is stopped. An error that reaches it fails it.</summary>
internal sealed class NumberProducer : IAsyncDisposable
{
    /// <summary>A small machine has to read them all.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private long _delivered;
    private volatile bool _isGivenUp;

    public NumberProducer(string bootstrap, string topic) => _running = Task.Run(() => RunAsync(bootstrap, topic));

    /// <summary>How many were acknowledged.</summary>
    public long Delivered => Interlocked.Read(ref _delivered);

    /// <summary>Completes when all that was written is acknowledged.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running.WaitAsync(ServerCluster.Limit);
    }

    public async ValueTask DisposeAsync()
    {
        _isGivenUp = true;
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task RunAsync(string bootstrap, string topic)
    {
        using IProducer<byte[], string> producer = new ProducerBuilder<byte[], string>(new ProducerConfig
        {
            BootstrapServers = bootstrap, EnableIdempotence = true, LingerMs = 5,
        }).Build();
        var failures = new ConcurrentQueue<string>();
        using var timer = new PeriodicTimer(Pause);
        for (long number = 0; !_stop.IsCancellationRequested; number++)
        {
            producer.Produce(
                topic, new Message<byte[], string> { Value = number.ToString(CultureInfo.InvariantCulture) }, report =>
                {
                    if (report.Error.IsError)
                        failures.Enqueue($"{report.Value}: {report.Error}");
                    else
                        Interlocked.Increment(ref _delivered);
                });
            await timer.WaitForNextTickAsync();
        }

        if (_isGivenUp)
            return;

        Assert.Equal(0, producer.Flush(ServerCluster.Limit));
        Assert.Empty(failures);
    }
}
