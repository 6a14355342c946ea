using System.Security.Cryptography;
using System.Text;
using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Where a state is kept: <c>SHARD/STATE~GRAIN~HASH.state</c>. The hash makes the name unique, whatever the key holds and however
/// long it is, also where file names ignore case; the rest is for the people who look at the directory.
/// </summary>
internal readonly struct GrainStatePath
{
    public const int Shards = 256;
    private const int MaxReadable = 60;

    private GrainStatePath(string directory, string key, byte[] hash, string stateName, GrainId grainId)
    {
        Key = key;
        Shard = hash[0];
        ShardDirectory = Path.Combine(directory, Shard.ToString("x2", System.Globalization.CultureInfo.InvariantCulture));
        File = Path.Combine(
            ShardDirectory, $"{Readable(stateName)}~{Readable(grainId.ToString())}~{Convert.ToHexStringLower(hash.AsSpan(0, 16))}.state");
    }

    /// <summary>The state's full identity, which is also kept in the file.</summary>
    public string Key { get; }

    public int Shard { get; }

    public string ShardDirectory { get; }

    public string File { get; }

    /// <summary>Where the next version is written before it takes the file's place. One name, since its writer holds the lock.</summary>
    public string TemporaryFile => File + ".tmp";

    public static GrainStatePath Of(string directory, string stateName, GrainId grainId)
    {
        if (stateName.Contains('\0', StringComparison.Ordinal))
            throw new ArgumentException("The name of a state must not contain NUL.", nameof(stateName));

        string key = $"{stateName}\0{grainId}";
        return new(directory, key, SHA256.HashData(Encoding.UTF8.GetBytes(key)), stateName, grainId);
    }

    public static string LockFile(string directory, int shard) =>
        Path.Combine(directory, "locks", shard.ToString("x2", System.Globalization.CultureInfo.InvariantCulture));

    private static string Readable(string text)
    {
        var safe = new StringBuilder(Math.Min(text.Length, MaxReadable));
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, MaxReadable)))
            safe.Append(char.IsAsciiLetterOrDigit(c) || c is '-' or '_' ? c : '.');

        return safe.ToString().TrimStart('.');
    }
}
