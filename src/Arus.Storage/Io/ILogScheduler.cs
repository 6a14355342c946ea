namespace Arus.Storage;

/// <summary>A piece of blocking work. It handles its own errors.</summary>
public interface ILogWork
{
    void Execute();
}

public enum LogLane
{
    /// <summary>Writes and fsyncs; the work of one log stays on one thread, in its order.</summary>
    Write = 0,

    /// <summary>Reads of what is not in memory, and opening logs.</summary>
    Read = 1,

    /// <summary>Index files, checkpoints, and fsync of full segments; in order.</summary>
    Seal = 2,

    /// <summary>Compaction and deletion of files.</summary>
    Clean = 3,
}

/// <summary>Runs the log's blocking work: <see cref="LogThreads"/> on threads, a simulation in the order that its seed says.</summary>
public interface ILogScheduler : IAsyncDisposable
{
    /// <param name="affinity">Work of one lane and one affinity runs one after the other, in the order of this call.</param>
    void Queue(LogLane lane, int affinity, ILogWork work);
}
