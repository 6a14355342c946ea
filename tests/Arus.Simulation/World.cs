namespace Arus.Simulation;

/// <summary>Time, chance, and what happens next: one thread, one order, decided by the seed.</summary>
internal sealed class World(int seed, Action<string>? trace)
{
    private readonly PriorityQueue<Action, (long AtMs, long Order)> _queue = new();
    private long _order;

    public Random Random { get; } = new(seed);

    public long NowMs { get; private set; }

    public Statistics Statistics { get; } = new();

    /// <summary>Null unless somebody reads along; then lines cost nothing to make.</summary>
    public Action<string>? Trace { get; } = trace;

    public bool Chance(double probability) => Random.NextDouble() < probability;

    /// <summary>From <paramref name="least"/> to <paramref name="most"/>, both included.</summary>
    public int Between(int least, int most) => Random.Next(least, most + 1);

    public T Pick<T>(IReadOnlyList<T> items) => items[Random.Next(items.Count)];

    public Guid NewId()
    {
        Span<byte> bytes = stackalloc byte[16];
        Random.NextBytes(bytes);
        return new Guid(bytes);
    }

    public void After(long delayMs, Action action) => _queue.Enqueue(action, (NowMs + delayMs, _order++));

    /// <summary>Runs what is due until then, or until the condition holds.</summary>
    /// <returns>Whether the condition came to hold.</returns>
    public bool RunUntil(long untilMs, Func<bool> condition)
    {
        while (!condition())
        {
            if (!_queue.TryPeek(out _, out (long AtMs, long Order) next) || next.AtMs > untilMs)
            {
                NowMs = untilMs;
                return condition();
            }

            NowMs = next.AtMs;
            _queue.Dequeue()();
        }

        return true;
    }

    public void Note(string text) => Trace?.Invoke($"{NowMs,7} {text}");
}

internal enum ViolationKind
{
    /// <summary>Something that must never happen has happened.</summary>
    Safety = 1,

    /// <summary>Something that must happen in time has not.</summary>
    Liveness = 2,

    /// <summary>The product threw an exception, or an assertion of it failed.</summary>
    Crash = 3,
}

/// <param name="invariant">Its number in the list of invariants of replication.</param>
internal sealed class ViolationException(int invariant, ViolationKind kind, string message, Exception? inner = null)
    : Exception($"invariant {invariant}: {message}", inner)
{
    public int Invariant { get; } = invariant;

    public ViolationKind Kind { get; } = kind;

    public static ViolationException Safety(int invariant, string message) => new(invariant, ViolationKind.Safety, message);

    public static ViolationException Liveness(int invariant, string message) => new(invariant, ViolationKind.Liveness, message);
}
