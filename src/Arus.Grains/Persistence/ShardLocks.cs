using Microsoft.Win32.SafeHandles;

namespace Arus.Grains;

/// <summary>
/// One writer at a time for a shard, across all processes that share the directory: a lock on an open file, which the operating
/// system gives back when its process dies. Lock files stay, since removing one would let two processes hold "it" at once.
/// </summary>
internal sealed class ShardLocks(string directory, FileLane lane, TimeSpan timeout, TimeProvider time)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(50);

    // Writers of this process queue here first, so that they wait without asking the file system again and again.
    private readonly SemaphoreSlim[] _local = [.. Enumerable.Range(0, GrainStatePath.Shards).Select(_ => new SemaphoreSlim(1))];

    /// <summary>Waits for the shard. Dispose the answer to let the next writer in.</summary>
    /// <exception cref="TimeoutException">Another process held it for too long.</exception>
    public async Task<IDisposable> EnterAsync(int shard)
    {
        string path = GrainStatePath.LockFile(directory, shard);
        long start = time.GetTimestamp();
        await _local[shard].WaitAsync().ConfigureAwait(false);
        try
        {
            TimeSpan pause = FirstPause;
            while (true)
            {
                if (await lane.RunAsync(() => TryOpen(path)).ConfigureAwait(false) is { } handle)
                    return new Held(handle, _local[shard]);

                if (time.GetElapsedTime(start) > timeout)
                    throw new TimeoutException($"Another process has held the lock {path} for {timeout}; the state was not written.");

                await Task.Delay(pause, time).ConfigureAwait(false);
                pause = TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LongestPause.Ticks));
            }
        }
        catch
        {
            _local[shard].Release();
            throw;
        }
    }

    private static SafeFileHandle? TryOpen(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (DirectoryNotFoundException)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            return TryOpen(path);
        }
        catch (IOException taken) when (taken.GetType() == typeof(IOException) && File.Exists(path))
        {
            // A sharing violation has no exception type of its own; a disk that is full or broken fails the write that follows.
            return null;
        }
    }

    private sealed class Held(SafeFileHandle handle, SemaphoreSlim local) : IDisposable
    {
        public void Dispose()
        {
            handle.Dispose();
            local.Release();
        }
    }
}
