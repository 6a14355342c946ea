using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Arus.Grains;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Hosting.Database;

/// <summary>
/// The ADO.NET grain storage under keys that are unique. By itself it takes the key of a grain without its type, and takes keys that look
/// like numbers for numbers: the topics <c>ad</c>, <c>AD</c> and <c>0ad</c> would share one row. Safe for use by any thread.
/// </summary>
internal sealed class DatabaseGrainStorage(IGrainStorage storage) : IGrainStorage
{
    /// <summary>
    /// Characters of a key. An index entry of PostgreSQL has room for 2,704 bytes, and a group's id may have 32,767.
    /// </summary>
    private const int MaxKeyLength = 600;

    private static readonly GrainType KeyType = GrainType.Create("arus");

    public async Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        try
        {
            await DatabaseFailure.TranslateAsync(storage.ReadStateAsync(stateName, Unique(grainId), grainState)).ConfigureAwait(false);
        }
        catch (Exception unreadable) when (unreadable is JsonException or NotSupportedException or FormatException)
        {
            throw new CorruptGrainStateException(
                $"{stateName} of {grainId} in the database", $"its contents are no {typeof(T)} ({unreadable.Message})", unreadable);
        }
    }

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        DatabaseFailure.TranslateAsync(storage.WriteStateAsync(stateName, Unique(grainId), grainState));

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        DatabaseFailure.TranslateAsync(storage.ClearStateAsync(stateName, Unique(grainId), grainState));

    /// <summary>The key under which a grain's states are, as text: <c>type/key</c>, where a slash keeps it from being a number.</summary>
    internal static string KeyOf(GrainId grainId) => KeyOf(grainId.ToString());

    /// <inheritdoc cref="KeyOf(GrainId)"/>
    /// <param name="key">The grain's id as text.</param>
    internal static string KeyOf(string key)
    {
        // PostgreSQL's text has no NUL; the backslash makes its replacement unique.
        if (key.AsSpan().IndexOfAny('\\', '\0') >= 0)
            key = key.Replace(@"\", @"\\").Replace("\0", @"\0");

        if (key.Length <= MaxKeyLength)
            return key;

        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(key));
        return $@"{key[..MaxKeyLength]}\{Convert.ToHexStringLower(hash)}";
    }

    private static GrainId Unique(GrainId grainId) => GrainId.Create(KeyType, KeyOf(grainId));
}

/// <summary>
/// States as JSON, as they are in the files of a single node; the rows of logs as the bytes that they are. Stateless.
/// </summary>
internal sealed class DatabaseStateSerializer : IGrainStorageSerializer
{
    public BinaryData Serialize<T>(T? input) =>
        input is LogRowState row ? new BinaryData(row.Bytes) : new BinaryData(JsonSerializer.SerializeToUtf8Bytes(input));

    public T? Deserialize<T>(BinaryData input) => typeof(T) == typeof(LogRowState)
        ? (T)(object)new LogRowState { Bytes = input.ToArray() }
        : JsonSerializer.Deserialize<T>(input.ToMemory().Span)!;
}
