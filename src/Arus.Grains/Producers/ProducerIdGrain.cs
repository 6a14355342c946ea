using Orleans.Runtime;

namespace Arus.Grains;

/// <inheritdoc cref="IProducerIdGrain"/>
internal sealed class ProducerIdGrain(
    [PersistentState("producer-ids", StorageNames.Metadata)] IPersistentState<ProducerIdState> state) : Grain, IProducerIdGrain
{
    private const int MaxBlock = 10_000;

    public async Task<long> AllocateBlockAsync(int count)
    {
        if (count is < 1 or > MaxBlock)
            throw new ArusException(ErrorCode.InvalidRequest, $"A block of {count} producer ids was requested; allowed: 1 to {MaxBlock}.");

        // The ids count as spent even when the write fails: it may have taken effect.
        long first = state.State.Next;
        state.State.Next = first + count;
        await state.WriteStateAsync();
        return first;
    }
}

/// <summary>What is durable of the producer ids.</summary>
[GenerateSerializer, Alias("arus.ProducerIdState")]
internal sealed class ProducerIdState
{
    /// <summary>The first id not given yet.</summary>
    [Id(0)]
    public long Next { get; set; }
}
