using System.Diagnostics;

namespace Arus.Coordination.Replication;

/// <summary>
/// How many bytes may go, in a second, from this broker to replicas that are not in sync: what is saved up of a tenth of a second at most,
/// so that the traffic of those in sync never waits behind more. An advance is granted for a call, and settled when its size is known.
/// </summary>
public sealed class CatchUpBudget
{
    /// <summary>Of one call.</summary>
    private const int MaxBytesInCall = 1 << 20;

    /// <summary>The part of a second that is saved up, and the part from which on a call is worth making.</summary>
    private const int SavedPart = 10;

    private const int CallPart = 20;

    private const int LongestPauseMs = 1_000;

    private long _available;
    private long _asOfMs = long.MinValue;

    public CatchUpBudget(long bytesPerSecond) => BytesPerSecond = bytesPerSecond;

    /// <summary>
    /// <see cref="long.MaxValue"/>: unbounded. May be changed between two inputs of the machine, and counts within a second.
    /// </summary>
    public long BytesPerSecond { get; set; }

    private long LeastBytes => Math.Clamp(BytesPerSecond / CallPart, 1, MaxBytesInCall);

    /// <summary>Bytes that a call may bring now; 0 for none yet.</summary>
    public int Take(long nowMs)
    {
        if (BytesPerSecond == long.MaxValue)
            return MaxBytesInCall;

        Save(nowMs);
        if (_available < LeastBytes)
            return 0;

        int granted = (int)Math.Min(_available, MaxBytesInCall);
        _available -= granted;
        return granted;
    }

    /// <summary>When to call <see cref="Take"/> again after it has granted nothing.</summary>
    public long DueMs(long nowMs) =>
        nowMs + (long)Math.Clamp(Math.Ceiling((LeastBytes - _available) * 1000.0 / BytesPerSecond), 1, LongestPauseMs);

    /// <summary>A call brought another number of bytes than it was granted: more if a single batch was larger.</summary>
    public void Settle(int granted, int brought)
    {
        if (BytesPerSecond != long.MaxValue)
            _available += granted - brought;
    }

    private void Save(long nowMs)
    {
        Debug.Assert(_asOfMs <= nowMs, "Time goes back.");
        long saved = Math.Max(LeastBytes, BytesPerSecond / SavedPart);
        double sinceMs = _asOfMs == long.MinValue ? 1000 : nowMs - _asOfMs;
        _available = (long)Math.Min(saved, _available + (BytesPerSecond * sinceMs / 1000));
        _asOfMs = nowMs;
    }
}
