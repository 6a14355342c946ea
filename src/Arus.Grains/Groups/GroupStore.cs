using Arus.Coordination;
using Arus.Protocol;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>
/// A group's rows in grain storage: one for its metadata, and one for every <see cref="OffsetsPerPage"/> offsets, so that a commit
/// rewrites kilobytes however many offsets the group has. Used by one activation; one operation at a time.
/// </summary>
/// <remarks>
/// Loading claims the group: it rewrites every row, so that all writes of an earlier activation, which may still be alive, fail their
/// version check. A group without rows has no owner; the first write of its head row makes one.
/// </remarks>
/// <param name="storage">Checks versions on every write.</param>
/// <param name="owner">Names the activation; no two have the same.</param>
/// <param name="catalog">Lists the group; null for a group that is not to be listed.</param>
/// <param name="lag">Told of what is committed, and of what there is when the group is claimed; null to tell nobody.</param>
internal sealed class GroupStore(
    IGrainStorage storage, GrainId groupId, Guid owner, IGroupCatalogGrain? catalog = null, ConsumerLag? lag = null)
    : ICoordinatorStore<GroupRecords>
{
    public const int OffsetsPerPage = 512;

    private const string HeadName = "group";
    private const int ParallelRows = 16;
    private const int ClaimAttempts = 5;

    private readonly List<Page> _pages = [];
    private readonly Dictionary<TopicPartition, Page> _pageOf = [];
    private GrainState<GroupRow> _head = new(new GroupRow());

    public bool Exists => _head.RecordExists;

    /// <summary>What was loaded of the group, without its offsets; null where nothing is stored.</summary>
    public GroupMetadata? Metadata { get; private set; }

    /// <summary>The offsets that are stored, committed and pending.</summary>
    public IEnumerable<KeyValuePair<TopicPartition, StoredPartition>> Offsets => _pages.SelectMany(page => page.Offsets);

    public async Task LoadAsync(bool claim = true)
    {
        Metadata = null;
        _pages.Clear();
        _pageOf.Clear();
        _head = await ReadAsync<GroupRow>(HeadName);
        if (!_head.RecordExists)
            return;

        GroupRow row = Head;
        if (claim)
        {
            row.Epoch++;
            row.Owner = owner;
            await storage.WriteStateAsync(HeadName, groupId, _head);
        }

        _pages.AddRange(Enumerable.Range(0, row.Pages).Select(index => new Page(index)));
        await ForEachAsync(_pages, claim ? ClaimAsync : ReadAsync);
        foreach (Page page in _pages)
        {
            foreach (TopicPartition partition in page.Offsets.Keys)
                _pageOf[partition] = page;
        }

        Metadata = DataMessages.ReadVersioned<GroupMetadata>(row.Metadata);
        if (claim)
            lag?.Committed(GroupName, Offsets.Select(stored => (stored.Key, Of(stored.Value))));
    }

    public async Task<bool> IsOwnerAsync()
    {
        GrainState<GroupRow> stored = await ReadAsync<GroupRow>(HeadName);
        return stored.RecordExists ? stored.State!.Owner == owner : !_head.RecordExists;
    }

    public async Task WriteAsync(GroupRecords records)
    {
        if (!Exists && records.Metadata is not null && catalog is not null)
        {
            // Listed before it exists: a listed group that does not is found out, one that is not listed would stay hidden.
            await catalog.AddAsync(GroupName);
        }

        if (records.Clear)
            await ClearAsync();

        var changed = new HashSet<Page>();
        int pagesBefore = _pages.Count;
        foreach ((TopicPartition partition, StoredPartition? offset) in records.Offsets)
            Apply(partition, offset, changed);

        if (records.Metadata is not null || _pages.Count > pagesBefore)
        {
            Head.Metadata = records.Metadata is null ? Head.Metadata : DataMessages.WriteVersioned(records.Metadata);
            Head.Pages = _pages.Count;
            Head.Owner = owner;
            // The head first: whoever loads the group must know of every page, or an old activation could still write to it.
            await storage.WriteStateAsync(HeadName, groupId, _head);
        }

        await ForEachAsync(changed, WriteAsync);
        if (!Exists && catalog is not null)
            await catalog.RemoveAsync(GroupName);

        if (records.Clear)
            lag?.Forget(GroupName);

        lag?.Committed(GroupName, records.Offsets.Select(change => (change.Key, Of(change.Value))));
    }

    private string GroupName => GroupKey.Parse(groupId.Key.ToString()!);

    private GroupRow Head => _head.State ?? throw new InvalidOperationException("The provider of grain storage returned no state.");

    private async Task<GrainState<T>> ReadAsync<T>(string name)
        where T : new()
    {
        var row = new GrainState<T>(new T());
        await storage.ReadStateAsync(name, groupId, row);
        row.State ??= new T();
        return row;
    }

    private void Apply(TopicPartition partition, StoredPartition? offset, HashSet<Page> changed)
    {
        if (offset is { } value)
        {
            if (!_pageOf.TryGetValue(partition, out Page? page))
                _pageOf[partition] = page = PageWithRoom();

            page.Offsets[partition] = value;
            changed.Add(page);
        }
        else if (_pageOf.Remove(partition, out Page? page))
        {
            page.Offsets.Remove(partition);
            changed.Add(page);
        }
    }

    private Page PageWithRoom()
    {
        // Newest first: it is the one that most likely has room.
        if (_pages.FindLast(page => page.Offsets.Count < OffsetsPerPage) is { } roomy)
            return roomy;

        _pages.Add(new Page(_pages.Count));
        return _pages[^1];
    }

    private async Task ClaimAsync(Page page)
    {
        for (int attempt = 1; ; attempt++)
        {
            await ReadAsync(page);
            try
            {
                await WriteAsync(page);
                return;
            }
            catch (InconsistentStateException) when (attempt < ClaimAttempts)
            {
                // The last activation wrote in between, which it could only do once more: what it wrote is read now.
            }
        }
    }

    private async Task ReadAsync(Page page)
    {
        page.Row = await ReadAsync<GroupOffsetsRow>(page.Name);
        page.Offsets.Clear();
        byte[] stored = page.Row.State!.Offsets;
        foreach ((TopicPartition partition, StoredPartition offset) in stored.Length == 0 ? [] : GroupOffsetsFormat.Decode(stored))
            page.Offsets[partition] = offset;
    }

    private async Task WriteAsync(Page page)
    {
        // Where a new page comes to be, a group of the same name that was deleted may have left a row.
        page.Row ??= await ReadAsync<GroupOffsetsRow>(page.Name);
        page.Row.State = new GroupOffsetsRow
        {
            Epoch = Head.Epoch,
            Offsets = page.Offsets.Count == 0 ? [] : GroupOffsetsFormat.Encode(page.Offsets),
        };
        await storage.WriteStateAsync(page.Name, groupId, page.Row);
    }

    private async Task ClearAsync()
    {
        // The head last: while it is there, a crash leaves a group that knows its pages.
        await ForEachAsync(
            _pages, page => page.Row is { RecordExists: true } row ? storage.ClearStateAsync(page.Name, groupId, row) : Task.CompletedTask);
        if (_head.RecordExists)
            await storage.ClearStateAsync(HeadName, groupId, _head);

        _head = new GrainState<GroupRow>(new GroupRow());
        _pages.Clear();
        _pageOf.Clear();
    }

    private static (long Offset, Guid TopicId)? Of(StoredPartition? stored) =>
        stored?.Committed is { } offset ? (offset.Offset, offset.TopicId) : null;

    private static async Task ForEachAsync(IEnumerable<Page> pages, Func<Page, Task> action)
    {
        foreach (Page[] some in pages.Chunk(ParallelRows))
            await Task.WhenAll(some.Select(action));
    }

    private sealed class Page(int index)
    {
        public string Name { get; } = $"group-offsets-{index}";

        public Dictionary<TopicPartition, StoredPartition> Offsets { get; } = [];

        /// <summary>Null until it is read.</summary>
        public GrainState<GroupOffsetsRow>? Row { get; set; }
    }
}
