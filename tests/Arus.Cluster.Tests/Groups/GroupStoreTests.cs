using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Cluster.Tests.Groups;

public sealed class GroupStoreTests
{
    private static readonly GrainId Group = GrainId.Create("group", "g");

    private readonly SharedGrainStorage _storage = new();

    [Fact]
    public async Task What_was_written_is_read_and_a_commit_writes_one_page()
    {
        GroupStore first = NewStore();
        await first.LoadAsync();
        Assert.Null(first.Metadata);
        await first.WriteAsync(Write(Metadata(3), Enumerable.Range(0, 1_200).Select(i => Offset(i, i))));
        Assert.Equal(["group", "group-offsets-0", "group-offsets-1", "group-offsets-2"], _storage.RowsOf(Group));

        _storage.Writes.Clear();
        await first.WriteAsync(Write(null, [Offset(700, 9_999)]));
        Assert.Equal(["group-offsets-1"], _storage.Writes);

        GroupStore second = NewStore();
        await second.LoadAsync();
        Assert.Equal(3, second.Metadata!.Generation);
        Assert.Equal(1_200, second.Offsets.Count());
        Assert.Equal(9_999, second.Offsets.Single(offset => offset.Key.Partition == 700).Value.Committed?.Offset);
    }

    [Fact]
    public async Task What_is_committed_and_pending_of_a_partition_changes_with_one_row()
    {
        StoredOffset committed = new(5, -1, "", 0, -1);
        PendingOffset pending = new(new OffsetTransaction(9, 2, 1), committed with { Offset = 8 });
        GroupStore store = NewStore();
        await store.WriteAsync(Write(Metadata(1), [new(new("t", 0), new StoredPartition(committed, [pending]))]));
        GroupStore young = NewStore();
        await young.LoadAsync();
        StoredPartition read = young.Offsets.Single().Value;
        Assert.Equal((committed, pending), (read.Committed!.Value, read.Pending.Single()));

        _storage.Writes.Clear();
        await young.WriteAsync(Write(null, [new(new("t", 0), new StoredPartition(pending.Offset, []))]));
        Assert.Equal(["group-offsets-0"], _storage.Writes);
    }

    [Fact]
    public async Task A_place_that_an_offset_left_is_used_again()
    {
        GroupStore store = NewStore();
        await store.WriteAsync(Write(Metadata(0), Enumerable.Range(0, GroupStore.OffsetsPerPage).Select(i => Offset(i, i))));
        await store.WriteAsync(Write(null, [new(new TopicPartition("t", 5), null), Offset(1_000, 1)]));

        Assert.Equal(["group", "group-offsets-0"], _storage.RowsOf(Group));
    }

    [Fact]
    public async Task Whoever_loads_the_group_fences_all_before_it()
    {
        GroupStore old = await CreateAsync();
        GroupStore young = NewStore();
        await young.LoadAsync();

        Assert.False(await old.IsOwnerAsync());
        Assert.True(await young.IsOwnerAsync());
        await Assert.ThrowsAsync<InconsistentStateException>(() => old.WriteAsync(Write(null, [Offset(0, 2)])));
        await Assert.ThrowsAsync<InconsistentStateException>(() => old.WriteAsync(Write(Metadata(9), [])));
        await young.WriteAsync(Write(null, [Offset(0, 3)]));
    }

    [Fact]
    public async Task A_write_that_was_accepted_during_the_claim_is_not_lost()
    {
        GroupStore old = await CreateAsync();
        GroupStore young = NewStore();
        bool slippedIn = false;
        _storage.BeforeWrite = async name =>
        {
            // Between the reading of the page by the young and its rewriting.
            if (name == "group-offsets-0" && !slippedIn)
            {
                slippedIn = true;
                await old.WriteAsync(Write(null, [Offset(0, 77)]));
            }
        };
        await young.LoadAsync();

        Assert.True(slippedIn);
        Assert.Equal(77, young.Offsets.Single().Value.Committed?.Offset);
        await Assert.ThrowsAsync<InconsistentStateException>(() => old.WriteAsync(Write(null, [Offset(0, 78)])));
    }

    [Fact]
    public async Task A_page_that_was_announced_and_not_written_cannot_be_written_later()
    {
        GroupStore old = await CreateAsync();
        var held = new TaskCompletionSource();
        var reached = new TaskCompletionSource();
        _storage.BeforeWrite = name =>
        {
            if (name == "group-offsets-1" && !reached.Task.IsCompleted)
            {
                reached.SetResult();
                return held.Task;
            }

            return Task.CompletedTask;
        };
        Task late = old.WriteAsync(Write(null, Enumerable.Range(1, GroupStore.OffsetsPerPage).Select(i => Offset(i, i))));
        await reached.Task;
        GroupStore young = NewStore();
        await young.LoadAsync();
        held.SetResult();

        await Assert.ThrowsAsync<InconsistentStateException>(() => late);
    }

    [Fact]
    public async Task Of_two_that_create_a_group_one_fails_and_knows_it_before()
    {
        GroupStore a = NewStore();
        GroupStore b = NewStore();
        await a.LoadAsync();
        await b.LoadAsync();
        Assert.True(await b.IsOwnerAsync());
        await a.WriteAsync(Write(Metadata(1), [Offset(0, 1)]));

        Assert.False(await b.IsOwnerAsync());
        await Assert.ThrowsAsync<InconsistentStateException>(() => b.WriteAsync(Write(Metadata(1), [Offset(0, 2)])));
    }

    [Fact]
    public async Task A_deleted_group_leaves_nothing_and_can_be_made_anew()
    {
        GroupStore store = await CreateAsync();
        await store.WriteAsync(new GroupRecords(true, null, []));
        Assert.Empty(_storage.RowsOf(Group));
        Assert.False(store.Exists);

        await store.WriteAsync(Write(Metadata(0), [Offset(4, 4)]));
        GroupStore next = NewStore();
        await next.LoadAsync();
        Assert.Equal(0, next.Metadata!.Generation);
        Assert.Equal(4, next.Offsets.Single().Key.Partition);
    }

    private GroupStore NewStore() => new(_storage, Group, Guid.NewGuid());

    private async Task<GroupStore> CreateAsync()
    {
        GroupStore store = NewStore();
        await store.WriteAsync(Write(Metadata(1), [Offset(0, 1)]));
        return store;
    }

    private static GroupRecords Write(GroupMetadata? metadata, IEnumerable<KeyValuePair<TopicPartition, StoredPartition?>> offsets) =>
        new(false, metadata, [.. offsets]);

    private static GroupMetadata Metadata(int generation) => new() { Generation = generation };

    private static KeyValuePair<TopicPartition, StoredPartition?> Offset(int partition, long offset) =>
        new(new TopicPartition("t", partition), new StoredOffset(offset, -1, "", 0, -1));
}
