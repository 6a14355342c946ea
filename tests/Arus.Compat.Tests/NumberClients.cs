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

        Assert.Equal(0, producer.Flush(ServerCluster.Limit));
        Assert.Empty(failures);
    }
}

/// <summary>Reads a topic in a consumer group until it is stopped, and counts the records that it saw, each once.</summary>
internal sealed class GroupReader : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<string, bool> _seen = new();
    private readonly Task _running;

    public GroupReader(string bootstrap, string topic) => _running = Task.Run(() => Run(bootstrap, topic));

    public long Seen => _running.IsFaulted ? throw _running.Exception! : _seen.Count;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private void Run(string bootstrap, string topic)
    {
        using IConsumer<byte[], string> consumer = new ConsumerBuilder<byte[], string>(new ConsumerConfig
        {
            BootstrapServers = bootstrap, GroupId = "group", AutoOffsetReset = AutoOffsetReset.Earliest, AutoCommitIntervalMs = 500,
        }).Build();
        consumer.Subscribe(topic);
        while (!_stop.IsCancellationRequested)
        {
            if (consumer.Consume(TimeSpan.FromMilliseconds(100)) is { Message.Value: { } value })
                _seen[value] = true;
        }

        consumer.Close();
    }
}
