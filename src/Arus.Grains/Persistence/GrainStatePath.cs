using System.Security.Cryptography;
using System.Text;
using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Where a state is kept: <c>SHARD/STATE~GRAIN~HASH.state</c>. The hash makes the name unique, whatever the key holds and however
/// long it is, also where file names ignore case; the rest is for the people who look at the directory.
/// </summary>
/// <param name="Key">The state's full identity, which is also kept in the file.</param>
internal readonly record struct GrainStatePath(string Key, int Shard, string ShardDirectory, string File)
{
    public const int Shards = 256;
    private const int MaxReadable = 60;

    public static GrainStatePath Of(string directory, string stateName, GrainId grainId)
    {
        if (stateName.Contains('\0', StringComparison.Ordinal))
            throw new ArgumentException("The name of a state must not contain NUL.", nameof(stateName));

        string key = $"{stateName}\0{grainId}";
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        string shard = Path.Combine(directory, Convert.ToHexStringLower(hash, 0, 1));
        string name = $"{Readable(stateName)}~{Readable(grainId.ToString())}~{Convert.ToHexStringLower(hash, 0, 16)}.state";
        return new(key, hash[0], shard, Path.Combine(shard, name));
    }

    public static string LockFile(string directory, int shard) =>
        Path.Combine(directory, "locks", Convert.ToHexStringLower([(byte)shard]));

    private static string Readable(string text) =>
        string.Concat(text.Take(MaxReadable).Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' ? c : '.')).TrimStart('.');
}
