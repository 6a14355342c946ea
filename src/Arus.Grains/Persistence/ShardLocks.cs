using Microsoft.Win32.SafeHandles;

namespace Arus.Grains;

/// <summary>
/// One writer at a time for a shard, across all processes that share the directory: a lock on an open file, which the operating
/// system gives back when its process dies. Lock files stay, since removing one would let two processes hold "it" at once.
/// </summary>
internal sealed class ShardLocks(string directory, TimeSpan timeout, TimeProvider time)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(50);

    // Writers of this process queue here first, so that they wait without asking the file system again and again.
    private readonly SemaphoreSlim[] _local = [.. Enumerable.Range(0, GrainStatePath.Shards).Select(_ => new SemaphoreSlim(1))];

    /// <summary>Runs <paramref name="work"/> on the lane, with the shard locked.</summary>
    /// <exception cref="TimeoutException">Another process held the lock for too long.</exception>
    public async Task RunAsync(int shard, FileLane lane, Func<bool> work)
    {
        long start = time.GetTimestamp();
        await _local[shard].WaitAsync().ConfigureAwait(false);
        try
        {
            using SafeFileHandle held = await OpenAsync(GrainStatePath.LockFile(directory, shard), lane, start).ConfigureAwait(false);
            await lane.RunAsync(work).ConfigureAwait(false);
        }
        finally
        {
            _local[shard].Release();
        }
    }

    private async Task<SafeFileHandle> OpenAsync(string path, FileLane lane, long start)
    {
        for (TimeSpan pause = FirstPause; ; pause = TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, LongestPause.Ticks)))
        {
            if (await lane.RunAsync(() => TryOpen(path)).ConfigureAwait(false) is { } handle)
                return handle;

            if (time.GetElapsedTime(start) > timeout)
                throw new TimeoutException($"Another process has held the lock {path} for {timeout}; the state was not written.");

            await Task.Delay(pause, time).ConfigureAwait(false);
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
}
