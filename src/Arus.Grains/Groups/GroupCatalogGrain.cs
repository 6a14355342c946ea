using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>One shard of the list of groups.</summary>
internal sealed class GroupCatalogGrain(
    [PersistentState("group-catalog", StorageNames.Metadata)] IPersistentState<GroupCatalogState> state) : Grain, IGroupCatalogGrain
{
    public async Task AddAsync(string groupId)
    {
        if (state.State.Groups.Add(groupId))
        {
            await WriteAsync(() => state.State.Groups.Remove(groupId));
        }
    }

    public async Task RemoveAsync(string groupId)
    {
        if (state.State.Groups.Remove(groupId))
        {
            await WriteAsync(() => state.State.Groups.Add(groupId));
        }
    }

    public Task<string[]> ListAsync() => Task.FromResult(state.State.Groups.ToArray());

    private async Task WriteAsync(Action undo)
    {
        try
        {
            await state.WriteStateAsync();
        }
        catch
        {
            // Or a repetition would find nothing left to write.
            undo();
            DeactivateOnIdle();
            throw;
        }
    }
}

[GenerateSerializer, Alias("arus.GroupCatalogState")]
public sealed class GroupCatalogState
{
    [Id(0)]
    public SortedSet<string> Groups { get; set; } = new(StringComparer.Ordinal);
}
