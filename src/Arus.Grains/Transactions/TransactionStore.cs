using Arus.Coordination;
using Arus.Protocol;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>A transactional id's row in grain storage. Used by one activation; one operation at a time.</summary>
/// <remarks>
/// Loading claims the id with a coordinator epoch that no marker was sent in: it rewrites the row, so that all writes of an earlier
/// activation, which may still be alive, fail their version check.
/// </remarks>
/// <param name="storage">Checks versions on every write.</param>
/// <param name="owner">Names the activation; no two have the same.</param>
/// <param name="catalog">Lists the id, and knows which may have a transaction to end.</param>
internal sealed class TransactionStore(
    IGrainStorage storage, GrainId grainId, string transactionalId, Guid owner, ITransactionCatalogGrain catalog)
    : ICoordinatorStore<TransactionRecords>
{
    private const string StateName = "transaction";

    private GrainState<TransactionRow> _row = new(new TransactionRow());

    /// <summary>
    /// Whether the catalog may have it as open: true for what was loaded, since an earlier activation may have left it so.
    /// </summary>
    private bool _isListedOpen;

    public bool Exists => _row.RecordExists;

    /// <summary>Whether this activation has claimed or created what is stored.</summary>
    public bool IsOwned => Exists && Row.Owner == owner;

    public int CoordinatorEpoch => Row.CoordinatorEpoch;

    /// <summary>What was loaded; null where nothing is stored.</summary>
    public TransactionMetadata? Metadata { get; private set; }

    private TransactionRow Row => _row.State ?? throw new InvalidOperationException("The provider of grain storage returned no state.");

    public async Task LoadAsync(bool claim)
    {
        Metadata = null;
        _row = await ReadAsync();
        if (!Exists)
            return;

        if (claim)
        {
            Row.CoordinatorEpoch++;
            Row.Owner = owner;
            await storage.WriteStateAsync(StateName, grainId, _row);
        }

        Metadata = DataMessages.ReadVersioned<TransactionMetadata>(Row.Metadata);
        _isListedOpen = true;
    }

    public async Task WriteAsync(TransactionRecords records)
    {
        if (records.Metadata is null)
        {
            await ForgetAsync();
            return;
        }

        // Listed before it is written: what is listed and is not open is found out, what is open and not listed would stay so.
        if (!Exists || (records.IsOpen && !_isListedOpen))
            await catalog.SetAsync(transactionalId, records.IsOpen);

        _isListedOpen |= records.IsOpen;
        Row.CoordinatorEpoch = records.CoordinatorEpoch;
        Row.Owner = owner;
        Row.Metadata = DataMessages.WriteVersioned(records.Metadata);
        await storage.WriteStateAsync(StateName, grainId, _row);
        if (records.IsOpen || !_isListedOpen)
            return;

        await catalog.SetAsync(transactionalId, isOpen: false);
        _isListedOpen = false;
    }

    public async Task<bool> IsOwnerAsync()
    {
        GrainState<TransactionRow> stored = await ReadAsync();
        return stored.RecordExists ? stored.State!.Owner == owner : !Exists;
    }

    private async Task ForgetAsync()
    {
        if (Exists)
            await storage.ClearStateAsync(StateName, grainId, _row);

        _row = new GrainState<TransactionRow>(new TransactionRow());
        _isListedOpen = false;
        await catalog.RemoveAsync(transactionalId);
    }

    private async Task<GrainState<TransactionRow>> ReadAsync()
    {
        var row = new GrainState<TransactionRow>(new TransactionRow());
        await storage.ReadStateAsync(StateName, grainId, row);
        row.State ??= new TransactionRow();
        return row;
    }
}
