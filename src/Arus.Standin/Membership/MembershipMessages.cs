namespace Orleans.Runtime;

/// <summary>What silos tell one another about the cluster.</summary>
internal interface IMembershipService : IAddressable
{
    /// <summary>Merges the sender's view into the receiver's, and answers the result.</summary>
    [Alias("exchange")]
    Task<MembershipView> ExchangeAsync(MembershipView view);

    /// <summary>"Are you there?" Answers the version of the receiver's view.</summary>
    [Alias("probe")]
    Task<long> ProbeAsync(SiloAddress from);

    /// <summary>A vote for declaring a silo dead, to the silo that counts them.</summary>
    [Alias("suspect")]
    Task SuspectAsync(SiloAddress suspect, SiloAddress voter);
}

[GenerateSerializer, Immutable, Alias("standin.MembershipView")]
internal sealed record MembershipView(long Version, MemberEntry[] Members);

[GenerateSerializer, Immutable, Alias("standin.MemberEntry")]
internal sealed record MemberEntry(SiloAddress Silo, int Status, string Name);
