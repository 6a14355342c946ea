using Microsoft.Extensions.Logging;
using Orleans.Concurrency;

namespace Arus.Grains.Tests.Coordinators;

public interface ICounterGrain : IGrainWithStringKey
{
    /// <summary>Adds; answers the total when it is durable.</summary>
    [AlwaysInterleave]
    Task<int> AddAsync(int amount);

    /// <summary>Answers when the time is over.</summary>
    [AlwaysInterleave]
    Task<int> WaitAsync(int delayMs, bool claim);

    [AlwaysInterleave]
    Task CheckAsync();

    /// <summary>Makes the machine throw, at once or when the time is over.</summary>
    [AlwaysInterleave]
    Task BreakAsync(int delayMs);

    /// <summary>Ends the activation, and answers when the time is over.</summary>
    [AlwaysInterleave]
    Task<int> DeactivateAndWaitAsync(int delayMs);
}

internal sealed class CounterGrain(CounterRows rows, ILogger<CounterGrain> logger)
    : CoordinatorGrain<Counter, CounterRecords>(TimeProvider.System, logger), ICounterGrain
{
    private CounterRow _row = null!;
    private CounterRow.Store _store = null!;

    public async Task<int> AddAsync(int amount)
    {
        int total = (await AskAsync<Number>(new Add(amount))).Value;
        _row.Note($"answer {total}");
        return total;
    }

    public async Task<int> WaitAsync(int delayMs, bool claim) => (await AskAsync<Number>(new Wait(delayMs), claim: claim)).Value;

    public Task CheckAsync() => CheckOwnershipAsync();

    public Task BreakAsync(int delayMs) => AskAsync<Number>(new Break(delayMs));

    public async Task<int> DeactivateAndWaitAsync(int delayMs)
    {
        DeactivateOnIdle();
        int total = await WaitAsync(delayMs, claim: true);
        _row.Note($"answer {total}");
        return total;
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        await base.OnDeactivateAsync(reason, cancellationToken);
        _row.Note("gone");
    }

    protected override ICoordinatorStore<CounterRecords> OpenStore()
    {
        _row = rows.Of(this.GetPrimaryKeyString());
        return _store = new CounterRow.Store(_row);
    }

    protected override Counter CreateMachine(long nowMs) => new(_store.Total, _row.Note);
}
