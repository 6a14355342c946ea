using System.Collections.Immutable;

namespace Orleans.Runtime;

public enum SiloStatus
{
    None = 0,
    Created = 1,
    Joining = 2,
    Active = 3,
    ShuttingDown = 4,
    Stopping = 5,
    Dead = 6,
}

public static class SiloStatusExtensions
{
    public static bool IsTerminating(this SiloStatus siloStatus) => siloStatus is SiloStatus.ShuttingDown or SiloStatus.Stopping or SiloStatus.Dead;
}

[GenerateSerializer, Immutable]
public sealed class ClusterMember(SiloAddress siloAddress, SiloStatus status, string name) : IEquatable<ClusterMember>
{
    [Id(0)]
    public SiloAddress SiloAddress { get; } = siloAddress;

    [Id(1)]
    public SiloStatus Status { get; } = status;

    [Id(2)]
    public string Name { get; } = name;

    public bool Equals(ClusterMember? other) =>
        other is not null && SiloAddress.Equals(other.SiloAddress) && Status == other.Status && Name == other.Name;

    public override bool Equals(object? obj) => Equals(obj as ClusterMember);

    public override int GetHashCode() => SiloAddress.GetHashCode();

    public override string ToString() => $"{SiloAddress}/{Name}/{Status}";
}

/// <summary>Who is in the cluster, as one silo knows it. The dead stay in it for a while.</summary>
[GenerateSerializer, Immutable]
public sealed class ClusterMembershipSnapshot(ImmutableDictionary<SiloAddress, ClusterMember> members, MembershipVersion version)
{
    [Id(0)]
    public ImmutableDictionary<SiloAddress, ClusterMember> Members { get; } = members;

    [Id(1)]
    public MembershipVersion Version { get; } = version;

    /// <summary>A silo that a later one at the same endpoint has replaced is dead; an unknown one is <see cref="SiloStatus.None"/>.</summary>
    public SiloStatus GetSiloStatus(SiloAddress silo) =>
        Members.TryGetValue(silo, out ClusterMember? member) ? member.Status
        : Members.Keys.Any(silo.IsPredecessorOf) ? SiloStatus.Dead
        : SiloStatus.None;

    public override string ToString() => $"[Version: {Version}, {Members.Count} silos: {string.Join(", ", Members.Values)}]";
}

/// <summary>The cluster, as the local silo sees it.</summary>
public interface IClusterMembershipService
{
    ClusterMembershipSnapshot CurrentSnapshot { get; }

    /// <summary>The current snapshot, then each new one; a slow reader may miss some, but never the latest.</summary>
    IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates { get; }

    /// <summary>Completes when the view is at least of <paramref name="minimumVersion"/>.</summary>
    ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default);

    /// <summary>Declares a silo dead.</summary>
    Task<bool> TryKill(SiloAddress siloAddress);
}

public interface ISiloStatusListener
{
    void SiloStatusChangeNotification(SiloAddress updatedSilo, SiloStatus status);
}

public interface ISiloStatusOracle
{
    SiloStatus CurrentStatus { get; }

    string SiloName { get; }

    SiloAddress SiloAddress { get; }

    SiloAddress[] GetActiveSilos();

    SiloStatus GetApproximateSiloStatus(SiloAddress siloAddress);

    Dictionary<SiloAddress, SiloStatus> GetApproximateSiloStatuses(bool onlyActive = false);

    bool IsDeadSilo(SiloAddress silo);

    bool TryGetSiloName(SiloAddress siloAddress, out string? siloName);

    bool SubscribeToSiloStatusEvents(ISiloStatusListener observer);

    bool UnSubscribeFromSiloStatusEvents(ISiloStatusListener observer);
}

/// <summary>The silo that this process, or this part of it, is.</summary>
public interface ILocalSiloDetails
{
    string Name { get; }

    string ClusterId { get; }

    string DnsHostName { get; }

    SiloAddress SiloAddress { get; }

    /// <summary>Where clients connect; null without a gateway.</summary>
    SiloAddress GatewayAddress { get; }
}

/// <summary>The cluster, for anyone who can call grains. Key 0.</summary>
public interface IManagementGrain : IGrainWithIntegerKey
{
    Task<Dictionary<SiloAddress, SiloStatus>> GetHosts(bool onlyActive = false);

    /// <summary>Activations in the whole cluster, stateless workers included.</summary>
    Task<int> GetTotalActivationCount();

    /// <summary>Collects what has been idle for that long, on all silos.</summary>
    Task ForceActivationCollection(TimeSpan ageLimit);

    /// <summary>Where a grain is active; null if nowhere.</summary>
    ValueTask<SiloAddress?> GetActivationAddress(IAddressable reference);
}
