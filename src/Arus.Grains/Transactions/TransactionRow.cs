namespace Arus.Grains;

/// <summary>A transactional id in grain storage (state name <c>transaction</c>). Its version says who coordinates it.</summary>
[GenerateSerializer, Alias("arus.TransactionRow")]
public sealed class TransactionRow
{
    /// <summary>The coordinator epoch of the markers that are sent.</summary>
    [Id(0)]
    public int CoordinatorEpoch { get; set; }

    /// <summary>Which activation claimed the id last, or created it.</summary>
    [Id(1)]
    public Guid Owner { get; set; }

    /// <summary>A <see cref="Protocol.TransactionMetadata"/>.</summary>
    [Id(2)]
    public byte[] Metadata { get; set; } = [];
}
