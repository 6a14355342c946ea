namespace Arus.Grains;

/// <summary>Hands out producer ids; none is ever given twice. One grain, key 0.</summary>
[Alias("arus.IProducerIdGrain")]
public interface IProducerIdGrain : IGrainWithIntegerKey
{
    /// <summary>Reserves <paramref name="count"/> ids (1 to 10,000) and answers the first; they are spent in any case.</summary>
    [Alias("AllocateBlock")]
    Task<long> AllocateBlockAsync(int count);
}
