using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>One shard of the list of transactional ids.</summary>
internal sealed class TransactionCatalogGrain(
    [PersistentState("transaction-catalog", StorageNames.Metadata)] IPersistentState<TransactionCatalogState> state)
    : Grain, ITransactionCatalogGrain
{
    /// <summary>A write failed, so that what is stored is not what is in memory.</summary>
    private bool _isUnsure;

    public Task SetAsync(string transactionalId, bool isOpen)
    {
        bool isChanged = state.State.Ids.Add(transactionalId);
        isChanged |= isOpen ? state.State.Open.Add(transactionalId) : state.State.Open.Remove(transactionalId);
        return isChanged || _isUnsure ? WriteAsync() : Task.CompletedTask;
    }

    public Task RemoveAsync(string transactionalId)
    {
        bool isChanged = state.State.Ids.Remove(transactionalId);
        isChanged |= state.State.Open.Remove(transactionalId);
        return isChanged || _isUnsure ? WriteAsync() : Task.CompletedTask;
    }

    public Task<string[]> ListAsync(bool onlyOpen) => Task.FromResult((onlyOpen ? state.State.Open : state.State.Ids).ToArray());

    private async Task WriteAsync()
    {
        _isUnsure = true;
        try
        {
            await state.WriteStateAsync();
            _isUnsure = false;
        }
        finally
        {
            if (_isUnsure)
                DeactivateOnIdle();
        }
    }
}

[GenerateSerializer, Alias("arus.TransactionCatalogState")]
public sealed class TransactionCatalogState
{
    [Id(0)]
    public SortedSet<string> Ids { get; set; } = new(StringComparer.Ordinal);

    /// <summary>Those whose coordinator may have a transaction to end, though nobody asks it.</summary>
    [Id(1)]
    public SortedSet<string> Open { get; set; } = new(StringComparer.Ordinal);
}
