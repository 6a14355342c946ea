using Arus.Coordination.Replication;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;

namespace Arus.Grains.Tests;

public sealed class MachinePumpTests
{
    [Fact]
    public async Task Each_input_has_the_time_at_which_it_is_taken()
    {
        // A lease counts from the answer: one that came while another input was handled must not end before its holder believes it does.
        var time = new MovableTime();
        using var pump = new MachinePump(
            new ReplicationMachine(new ReplicationOptions { BrokerId = 1 }), time, new NoLifetime(), NullLogger<MachinePump>.Instance);
        var second = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        pump.Post((_, _) =>
        {
            time.Milliseconds += 50;
            pump.Post((_, now) => second.TrySetResult(now));
        });

        Assert.Equal(50, await second.Task.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    private sealed class MovableTime : TimeProvider
    {
        public long Milliseconds { get; set; }

        public override long TimestampFrequency => 1_000;

        public override long GetTimestamp() => Milliseconds;
    }

    private sealed class NoLifetime : IHostApplicationLifetime
    {
        public CancellationToken ApplicationStarted => default;

        public CancellationToken ApplicationStopping => default;

        public CancellationToken ApplicationStopped => default;

        public void StopApplication()
        {
        }
    }
}
