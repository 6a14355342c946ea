using System.Diagnostics;

namespace Arus.Storage;

/// <summary>A thread takes a lock only while it holds none of the same or of a later rank; debug builds assert it.</summary>
internal enum LockRank
{
    None = 0,

    /// <summary>The appender's lock: held while an append gets its offsets, and during an exclusive operation.</summary>
    Appender = 1,

    /// <summary>The checkpointer's lock: held while any file but the active segment is written or replaced.</summary>
    Checkpointer = 2,

    /// <summary>A lock that is held for moments, never during I/O, and never together with another lock of this rank.</summary>
    Leaf = 3,
}

/// <summary>A lock that knows its rank. A thread may take a lock again that it holds.</summary>
internal readonly struct LogLock(LockRank rank)
{
    [ThreadStatic]
    private static LockRank s_held;

    private readonly Lock _lock = new();

    public Scope Enter()
    {
        LockRank before = LockRank.None;
        AssertOrder(ref before);
        _lock.Enter();
        return new Scope(_lock, before);
    }

    /// <summary>Reads under the lock. A static function allocates nothing.</summary>
    public TResult Read<TState, TResult>(TState state, Func<TState, TResult> read)
    {
        using (Enter())
            return read(state);
    }

    [Conditional("DEBUG")]
    private void AssertOrder(ref LockRank before)
    {
        before = s_held;
        Debug.Assert(before < rank || _lock.IsHeldByCurrentThread, $"A lock of rank {rank} is taken behind one of rank {before}.");
        s_held = rank > before ? rank : before;
    }

    [Conditional("DEBUG")]
    private static void Restore(LockRank before) => s_held = before;

    public readonly ref struct Scope(Lock held, LockRank before)
    {
        public void Dispose()
        {
            held.Exit();
            Restore(before);
        }
    }
}
