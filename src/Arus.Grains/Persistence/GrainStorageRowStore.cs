using System.Globalization;
using System.Runtime.InteropServices;
using Arus.Storage;
using Arus.Storage.Rows;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>
/// The rows of one partition in an Orleans grain storage: each row is the state of a grain id that nobody activates, made of topic id,
/// partition and the row's key, and written once with no ETag, which every provider refuses when there is a state already.
/// </summary>
/// <param name="storage">Any provider that keeps ETags; its serializer must take byte arrays.</param>
/// <param name="topicId">Part of every key, so that a topic never sees the rows of an earlier one of the same name.</param>
public sealed class GrainStorageRowStore(IGrainStorage storage, TopicPartition partition, Guid topicId) : ISegmentRowStore
{
    private const string RowState = "row";
    private const string HeadState = "head";
    private const string FenceKey = "fence";

    private readonly string _prefix = string.Create(CultureInfo.InvariantCulture, $"{topicId:N}/{partition.Partition}");

    /// <inheritdoc/>
    public async ValueTask<bool> TryInsertAsync(string key, ReadOnlyMemory<byte> row) =>
        await TryWriteAsync(RowState, key, row, etag: null).ConfigureAwait(false) is not null;

    /// <inheritdoc/>
    public async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(string key)
    {
        GrainState<LogRowState> state = await LoadAsync(RowState, key).ConfigureAwait(false);
        return state.RecordExists ? new ReadOnlyMemory<byte>(state.State!.Bytes) : (ReadOnlyMemory<byte>?)null;
    }

    /// <inheritdoc/>
    public async ValueTask DeleteAsync(string key)
    {
        try
        {
            // A row is written once, so that it is the same whatever its ETag; a provider may take that, and the row is not read.
            await storage.ClearStateAsync(RowState, IdOf(key), new GrainState<LogRowState>(new LogRowState())).ConfigureAwait(false);
        }
        catch (InconsistentStateException)
        {
            await ClearAsync(RowState, key).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<StoredHead?> ReadHeadAsync(LogHead head) =>
        await LoadAsync(HeadState, KeyOf(head)).ConfigureAwait(false) is { RecordExists: true } state
            ? new StoredHead(state.State!.Bytes, state.ETag!)
            : null;

    /// <inheritdoc/>
    public async ValueTask<string?> TryWriteHeadAsync(LogHead head, ReadOnlyMemory<byte> bytes, string? etag) =>
        await TryWriteAsync(HeadState, KeyOf(head), bytes, etag).ConfigureAwait(false);

    /// <inheritdoc/>
    public async ValueTask DeleteHeadAsync(LogHead head) => await ClearAsync(HeadState, KeyOf(head)).ConfigureAwait(false);

    private static string KeyOf(LogHead head) => head == LogHead.Fence ? FenceKey : HeadState;

    /// <summary>The array that the bytes are all of; a copy where there is none.</summary>
    private static byte[] ArrayOf(ReadOnlyMemory<byte> bytes) =>
        MemoryMarshal.TryGetArray(bytes, out ArraySegment<byte> segment) && segment.Array!.Length == segment.Count
            ? segment.Array
            : bytes.ToArray();

    private GrainId IdOf(string key) => GrainId.Create("arus-log", $"{_prefix}/{key}");

    private async Task<GrainState<LogRowState>> LoadAsync(string name, string key)
    {
        var state = new GrainState<LogRowState>(new LogRowState());
        await storage.ReadStateAsync(name, IdOf(key), state).ConfigureAwait(false);
        return state;
    }

    private async Task<string?> TryWriteAsync(string name, string key, ReadOnlyMemory<byte> bytes, string? etag)
    {
        var state = new GrainState<LogRowState>(
            new LogRowState { Bytes = ArrayOf(bytes) }) { ETag = etag!, RecordExists = etag is not null };
        try
        {
            await storage.WriteStateAsync(name, IdOf(key), state).ConfigureAwait(false);
            return state.ETag;
        }
        catch (InconsistentStateException)
        {
            return null;
        }
    }

    private async Task ClearAsync(string name, string key)
    {
        GrainState<LogRowState> state = await LoadAsync(name, key).ConfigureAwait(false);
        try
        {
            if (state.RecordExists)
                await storage.ClearStateAsync(name, IdOf(key), state).ConfigureAwait(false);
        }
        catch (InconsistentStateException) when (name == RowState)
        {
            // A state that changed since it was read was cleared by another leader.
        }
    }
}

/// <summary>The bytes of a row or of a head; their format is <see cref="RowPartitionLog"/>'s.</summary>
[GenerateSerializer, Alias("arus.LogRowState")]
public sealed class LogRowState
{
    [Id(0)]
    public byte[] Bytes { get; set; } = [];
}
