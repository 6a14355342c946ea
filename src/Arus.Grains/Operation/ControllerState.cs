namespace Arus.Grains;

/// <summary>What is durable of the wishes of operators.</summary>
[GenerateSerializer, Alias("arus.ControllerState")]
internal sealed record ControllerState
{
    /// <summary>Grows with every activation that balances; an older one that is left over sees it and goes.</summary>
    [Id(0)]
    public long Claim { get; set; }

    /// <summary>The brokers that are to give away what they keep.</summary>
    [Id(1)]
    public int[] Draining { get; set; } = [];

    /// <summary>Nothing is moved for the sake of an even spread.</summary>
    [Id(2)]
    public bool IsPaused { get; set; }
}
