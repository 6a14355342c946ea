using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace Arus.Orleans.Parity;

public interface ITurnGrain : IGrainWithStringKey
{
    /// <summary>Counts how many calls are inside at once, over several turns.</summary>
    Task<int> MeasureAsync();

    Task HoldAsync(string until);

    Task PlainAsync();

    [AlwaysInterleave]
    Task SetAsync(string signal);

    [AlwaysInterleave]
    Task<string[]> LogAsync();

    [ReadOnly]
    Task MeetReaderAsync(string mine, string other);

    Task ArmTimerAsync(string ticked);

    Task<int> CountOverlappingTicksAsync(int ticks);

    [ResponseTimeout("00:00:01")]
    Task NeverAsync();

    [OneWay]
    Task HoldOneWayAsync(string until);
}

public class TurnGrain : Grain, ITurnGrain
{
    private readonly List<string> _log = [];
    private int _inside;

    public async Task<int> MeasureAsync()
    {
        int most = ++_inside;
        for (int turn = 0; turn < 5; turn++)
        {
            await Task.Yield();
            most = Math.Max(most, _inside);
        }

        _inside--;
        return most;
    }

    public async Task HoldAsync(string until)
    {
        _log.Add("hold");
        Signals.Set($"{until} held");
        await Signals.WaitAsync(until);
        _log.Add("held");
    }

    public Task HoldOneWayAsync(string until) => HoldAsync(until);

    public Task PlainAsync()
    {
        _log.Add("plain");
        return Task.CompletedTask;
    }

    public Task SetAsync(string signal)
    {
        _log.Add("set");
        Signals.Set(signal);
        return Task.CompletedTask;
    }

    public Task<string[]> LogAsync() => Task.FromResult(_log.ToArray());

    public async Task MeetReaderAsync(string mine, string other)
    {
        Signals.Set(mine);
        await Signals.WaitAsync(other);
    }

    public Task ArmTimerAsync(string ticked)
    {
        this.RegisterGrainTimer(
            _ =>
            {
                _log.Add("tick");
                Signals.Set(ticked);
                return Task.CompletedTask;
            },
            new GrainTimerCreationOptions(TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan));
        return Task.CompletedTask;
    }

    public async Task<int> CountOverlappingTicksAsync(int ticks)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int inside = 0;
        int most = 0;
        int ended = 0;
        using IGrainTimer timer = this.RegisterGrainTimer(
            async _ =>
            {
                most = Math.Max(most, ++inside);
                await Task.Yield();
                await Task.Yield();
                inside--;
                if (++ended == ticks)
                {
                    done.TrySetResult();
                }
            },
            new GrainTimerCreationOptions(TimeSpan.Zero, TimeSpan.FromMilliseconds(1)) { Interleave = true });
        await done.Task.WaitAsync(TimeSpan.FromSeconds(30));
        return most;
    }

    public Task NeverAsync() => new TaskCompletionSource().Task;
}

public interface IReentrantGrain : IGrainWithStringKey
{
    Task MeetAsync(string mine, string other);
}

[Reentrant]
public sealed class ReentrantGrain : Grain, IReentrantGrain
{
    public async Task MeetAsync(string mine, string other)
    {
        Signals.Set(mine);
        await Signals.WaitAsync(other);
    }
}

public interface IWorkerGrain : IGrainWithIntegerKey
{
    Task MeetAsync(string mine, string other);
}

[StatelessWorker(4)]
public sealed class WorkerGrain : Grain, IWorkerGrain
{
    public async Task MeetAsync(string mine, string other)
    {
        Signals.Set(mine);
        await Signals.WaitAsync(other);
    }
}
