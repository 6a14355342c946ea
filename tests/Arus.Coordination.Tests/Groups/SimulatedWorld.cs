using System.Globalization;

namespace Arus.Coordination.Tests.Groups;

/// <summary>Time, chance and a memory of what happened. Everything runs on one thread, in an order that the seed decides.</summary>
internal sealed class SimulatedWorld(int seed)
{
    public static readonly Guid TopicId = Guid.Parse("00000000-0000-0000-0000-000000000001");

    private const int TraceLines = 60;

    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Queue<string> _trace = new();
    private long _order;

    public Random Random { get; } = new(seed);

    public long Now { get; private set; }

    public bool Chance(double probability) => Random.NextDouble() < probability;

    public void At(long time, Action action) => _events.Enqueue(action, (Math.Max(time, Now), _order++));

    public void After(int delayMs, Action action) => At(Now + delayMs, action);

    /// <summary>Continues inline when the time has come, as all awaits here do: there is no other thread.</summary>
    public Task Delay(int delayMs)
    {
        var source = new TaskCompletionSource();
        After(delayMs, source.SetResult);
        return source.Task;
    }

    public void RunUntil(long end)
    {
        while (_events.TryPeek(out _, out (long At, long Order) next) && next.At <= end)
        {
            Action action = _events.Dequeue();
            Now = next.At;
            action();
        }

        Now = end;
    }

    public void Note(string line)
    {
        _trace.Enqueue(string.Create(CultureInfo.InvariantCulture, $"{Now,7} {line}"));
        if (_trace.Count > TraceLines)
            _trace.Dequeue();
    }

    public void Require(bool condition, Func<string> rule)
    {
        if (!condition)
            throw new InvariantBrokenException($"seed {seed}, at {Now}: {rule()}\n{string.Join('\n', _trace)}");
    }
}

internal sealed class InvariantBrokenException(string message) : Exception(message);
