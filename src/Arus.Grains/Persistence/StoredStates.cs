namespace Arus.Grains;

/// <param name="Name">Of the state, such as <c>topic</c>.</param>
/// <param name="GrainId">Of the grain that it is of, as text: <c>type/key</c>.</param>
/// <param name="Payload">As the storage's serializer wrote it: JSON, unless it was configured otherwise.</param>
public sealed record StoredState(string Name, string GrainId, ReadOnlyMemory<byte> Payload);

/// <summary>The states that <see cref="FileGrainStorage"/> has written, without a silo. Nobody may write meanwhile.</summary>
public static class StoredStates
{
    /// <summary>Reads them one after the other, in no order.</summary>
    /// <param name="directory">That of the storage; no states where there is none.</param>
    /// <param name="name">Of the states that are wanted; null for all.</param>
    /// <exception cref="CorruptGrainStateException">A file is damaged; the message names it.</exception>
    public static IEnumerable<StoredState> Read(string directory, string? name = null)
    {
        if (!Directory.Exists(directory))
            yield break;

        // What was being written when its process was killed has another suffix.
        foreach (string file in Directory.EnumerateFiles(directory, $"{name ?? ""}*.state", SearchOption.AllDirectories))
        {
            (string key, _, ReadOnlyMemory<byte> payload) = GrainStateFile.Parse(file, File.ReadAllBytes(file));
            int end = key.IndexOf('\0', StringComparison.Ordinal);
            if (end < 0)
                throw new CorruptGrainStateException(file, "it does not say whose state it is");

            if (name is null || key.AsSpan(0, end).SequenceEqual(name))
                yield return new StoredState(key[..end], key[(end + 1)..], payload);
        }
    }
}
