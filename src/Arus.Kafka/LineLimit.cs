namespace Arus.Kafka;

/// <summary>
/// Bounds the lines of one kind that are logged in an interval, so that retries, scanners and fuzzers cannot fill the log. The first
/// line after some were left out says how many. Thread-safe.
/// </summary>
internal sealed class LineLimit(TimeProvider time)
{
    internal const int MaxLines = 10;

    internal static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly HashSet<string> _causes = [];
    private long? _intervalStart;
    private int _lines;
    private long _leftOut;

    /// <summary>Whether a line may be logged.</summary>
    /// <param name="cause">The cause of a line, which is logged once in an interval; null for a line that is no repetition.</param>
    /// <param name="leftOut">What the line is to say of those before it; it ends the line.</param>
    public bool TryTake(string? cause, out string leftOut)
    {
        lock (_lock)
        {
            if (_intervalStart is not { } start || time.GetElapsedTime(start) >= Interval)
            {
                (_intervalStart, _lines) = (time.GetTimestamp(), 0);
                _causes.Clear();
            }

            if (_lines == MaxLines || (cause is not null && !_causes.Add(cause)))
            {
                _leftOut++;
                leftOut = "";
                return false;
            }

            leftOut = _leftOut == 0 ? "" : $" ({_leftOut} lines like this were left out before)";
            _lines++;
            _leftOut = 0;
            return true;
        }
    }
}
