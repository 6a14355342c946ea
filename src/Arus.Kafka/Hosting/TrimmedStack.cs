using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace Arus.Kafka;

/// <summary>
/// Buffers that are kept for reuse, up to a number. Those that were not needed between two calls of <see cref="Trim"/> are let go, so that
/// a burst does not keep its memory. Thread-safe.
/// </summary>
internal sealed class TrimmedStack<T>(int maxKept)
    where T : class
{
    private readonly Lock _lock = new();
    private readonly Stack<T> _kept = new();
    private int _leastKept;

    public bool TryPop([NotNullWhen(true)] out T? buffer)
    {
        lock (_lock)
        {
            bool found = _kept.TryPop(out buffer);
            _leastKept = Math.Min(_leastKept, _kept.Count);
            return found;
        }
    }

    /// <summary>Keeps a buffer, unless there are enough.</summary>
    public void Push(T buffer)
    {
        lock (_lock)
        {
            if (_kept.Count < maxKept)
                _kept.Push(buffer);
        }
    }

    /// <summary>Lets go as many as were there at all times since the last call.</summary>
    public void Trim()
    {
        lock (_lock)
        {
            Debug.Assert(_leastKept <= _kept.Count, "The least is no more than what is there.");
            for (int unused = _leastKept; unused > 0; unused--)
                _kept.Pop();

            if (_leastKept > 0)
                _kept.TrimExcess();

            _leastKept = _kept.Count;
        }
    }
}
