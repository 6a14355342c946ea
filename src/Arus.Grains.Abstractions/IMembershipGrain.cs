using Orleans.Concurrency;
using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>
/// Tells native clients which silos live. One grain, key 0; every silo answers from what it knows itself, so that no grain has to be found
/// or moved when a silo is lost.
/// </summary>
[Alias("arus.IMembershipGrain")]
public interface IMembershipGrain : IGrainWithIntegerKey
{
    /// <summary>Below every response timeout, so that a wait ends by itself.</summary>
    const int MaxWaitMs = 10_000;

    /// <summary>
    /// Waits for a membership of another version than the caller knows, at most <see cref="MaxWaitMs"/>, and answers the membership then.
    /// </summary>
    /// <param name="knownVersion">Of the caller's last answer; -1 for none.</param>
    /// <exception cref="SiloUnavailableException">The silo stops: ask again a little later, and another answers.</exception>
    [Alias("WaitForChange"), AlwaysInterleave]
    Task<SiloMembership> WaitForChangeAsync(long knownVersion);
}

/// <param name="Version">Grows with every change in a cluster's life. Of two silos one may be behind the other.</param>
/// <param name="Live">The silos that are not declared dead. A silo that starts again has another address.</param>
[GenerateSerializer, Immutable, Alias("arus.SiloMembership")]
public sealed record SiloMembership(long Version, SiloAddress[] Live);
