using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>One shard of the list of groups.</summary>
internal sealed class GroupCatalogGrain(
    [PersistentState("group-catalog", StorageNames.Metadata)] IPersistentState<GroupCatalogState> state) : Grain, IGroupCatalogGrain
{
    public Task AddAsync(string groupId) =>
        state.State.Groups.Add(groupId) ? WriteAsync(() => state.State.Groups.Remove(groupId)) : Task.CompletedTask;

    public Task RemoveAsync(string groupId) =>
        state.State.Groups.Remove(groupId) ? WriteAsync(() => state.State.Groups.Add(groupId)) : Task.CompletedTask;

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
