using System.Globalization;
using Spectre.Console;

namespace Arus.Cli;

/// <summary>Counts records and bytes of a long command, shows them while somebody watches, and sums up at the end.</summary>
internal sealed class LiveCounter(Terminal terminal, TimeProvider time)
{
    private static readonly TimeSpan Refresh = TimeSpan.FromMilliseconds(250);

    private readonly long _start = time.GetTimestamp();
    private long _records;
    private long _bytes;

    public long Records => Interlocked.Read(ref _records);

    public void Add(int records, long bytes)
    {
        Interlocked.Add(ref _records, records);
        Interlocked.Add(ref _bytes, bytes);
    }

    /// <summary>Runs <paramref name="work"/> under a line on standard error that says how far it is.</summary>
    public Task ShowAsync(string verb, Func<Task> work) =>
        !terminal.Interactive ? work() : terminal.Display().Status().StartAsync(Describe(verb), async status =>
        {
            Task running = work();
            using var timer = new PeriodicTimer(Refresh, time);
            while (!running.IsCompleted)
            {
                await Task.WhenAny(running, timer.WaitForNextTickAsync().AsTask());
                status.Status(Describe(verb));
            }

            await running;
        });

    public object Summary()
    {
        double seconds = time.GetElapsedTime(_start).TotalSeconds;
        return new { Records, Bytes = Interlocked.Read(ref _bytes), Seconds = seconds, RecordsPerSecond = Records / seconds };
    }

    /// <summary>"12 records (1.2 kB) verb in 3.4 s, 4 records/s".</summary>
    public string Describe(string verb)
    {
        double seconds = Math.Max(time.GetElapsedTime(_start).TotalSeconds, 0.001);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Records:N0} records ({Interlocked.Read(ref _bytes) / 1e6:N1} MB) {verb} in {seconds:N1} s, "
            + $"{Records / seconds:N0} records/s");
    }
}
