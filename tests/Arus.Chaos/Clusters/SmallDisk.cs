using System.Globalization;

namespace Arus.Chaos;

/// <summary>A file system in memory whose room can be taken away and given back while it is in use.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private const string Room = "8g";

    /// <summary>What is written between looking how much is used and taking the rest.</summary>
    private const long SlackBytes = 256 * 1024;
    private const int FillAttempts = 20;

    private readonly string _directory;

    private SmallDisk(string directory) => _directory = directory;

    public static async Task<SmallDisk> MountAsync(string directory)
    {
        Directory.CreateDirectory(directory);
        await Shell.RunAsync("mount", "-t", "tmpfs", "-o", $"size={Room}", "arus-chaos", directory);
        return new SmallDisk(directory);
    }

    /// <summary>Takes what is free away, but for a few hundred kilobytes.</summary>
    public async Task FillAsync()
    {
        for (int attempt = 1; ; attempt++)
        {
            string used = await Shell.RunAsync("df", "--output=used", "-B1", _directory);
            long bytes = long.Parse(used.Split('\n')[1], CultureInfo.InvariantCulture) + SlackBytes;
            (int code, string output) = await Shell.TryAsync("mount", "-o", $"remount,size={bytes}", _directory);
            if (code == 0)
                return;

            if (attempt == FillAttempts)
                throw new ChaosException($"The disk was written to faster than it could be filled: {output}");
        }
    }

    public Task EmptyAsync() => Shell.RunAsync("mount", "-o", $"remount,size={Room}", _directory);

    /// <summary>After the processes that use it have ended.</summary>
    public async ValueTask DisposeAsync() => await Shell.TryAsync("umount", "-l", _directory);
}
