using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>
/// One silo's view of the cluster. Views merge: a silo's status only ever goes forward, from joining to dead, so two views always
/// have a common successor, and silos that tell each other what they know end up with the same. There is no table that a failure
/// could take away; the primary is only where newcomers ask.
/// </summary>
/// <remarks>
/// Not promised: a cluster that the network cuts in two goes on as two clusters, each declaring the other dead; when they meet
/// again, the silos declared dead stop. A table in a database, which Orleans proper uses, prevents that.
/// </remarks>
internal sealed partial class ClusterMembershipService(SiloAddress self, string name, ILogger logger) : IClusterMembershipService, ISiloStatusOracle
{
    private readonly Lock _gate = new();
    private readonly List<ISiloStatusListener> _listeners = [];
    private Task _notified = Task.CompletedTask;
    private volatile ClusterMembershipSnapshot _current = new(ImmutableDictionary<SiloAddress, ClusterMember>.Empty, new MembershipVersion(0));
    private TaskCompletionSource<ClusterMembershipSnapshot> _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Raised with each new view, in order, by the thread that brought it; handlers are quick and do not throw.</summary>
    public event Action<ClusterMembershipSnapshot>? Changed;

    /// <summary>Raised when others have declared this silo dead.</summary>
    public event Action? DeclaredDead;

    public ClusterMembershipSnapshot CurrentSnapshot => _current;

    public IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates => EnumerateAsync();

    public SiloStatus CurrentStatus => _current.GetSiloStatus(self);

    public string SiloName => name;

    public SiloAddress SiloAddress => self;

    /// <summary>How the service declares a silo dead and tells the others; set by who talks to them.</summary>
    public Func<SiloAddress, Task>? Kill { get; set; }

    public MembershipView View => ToView(_current);

    public bool IsDead(SiloAddress silo) => _current.GetSiloStatus(silo) == SiloStatus.Dead;

    public bool IsDeadSilo(SiloAddress silo) => IsDead(silo);

    public SiloAddress[] GetActiveSilos() =>
        [.. _current.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress).Order()];

    public SiloStatus GetApproximateSiloStatus(SiloAddress siloAddress) => _current.GetSiloStatus(siloAddress);

    public Dictionary<SiloAddress, SiloStatus> GetApproximateSiloStatuses(bool onlyActive = false) => _current.Members.Values
        .Where(member => !onlyActive || member.Status == SiloStatus.Active)
        .ToDictionary(member => member.SiloAddress, member => member.Status);

    public bool TryGetSiloName(SiloAddress siloAddress, out string? siloName)
    {
        siloName = _current.Members.GetValueOrDefault(siloAddress)?.Name;
        return siloName is not null;
    }

    public bool SubscribeToSiloStatusEvents(ISiloStatusListener observer)
    {
        lock (_listeners)
        {
            bool isNew = !_listeners.Contains(observer);
            if (isNew)
            {
                _listeners.Add(observer);
            }

            return isNew;
        }
    }

    public bool UnSubscribeFromSiloStatusEvents(ISiloStatusListener observer)
    {
        lock (_listeners)
        {
            return _listeners.Remove(observer);
        }
    }

    public async ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default)
    {
        while (_current.Version < minimumVersion)
        {
            Task next;
            lock (_gate)
            {
                next = _next.Task;
            }

            if (_current.Version < minimumVersion)
            {
                await next.WaitAsync(cancellationToken);
            }
        }
    }

    public async Task<bool> TryKill(SiloAddress siloAddress)
    {
        if (_current.GetSiloStatus(siloAddress) is SiloStatus.None or SiloStatus.Dead || Kill is null)
        {
            return false;
        }

        await Kill(siloAddress);
        return true;
    }

    /// <summary>Moves a silo forward; false if it was there already, or further.</summary>
    public bool Set(SiloAddress silo, string siloName, SiloStatus status) =>
        Merge(new MembershipView(_current.Version.Value + 1, [new MemberEntry(silo, (int)status, siloName)]), isPart: true);

    /// <summary>Takes over what another silo knows better; true if something changed.</summary>
    public bool Merge(MembershipView view) => Merge(view, isPart: false);

    /// <summary>Forgets dead silos that others have forgotten too, or that died long ago.</summary>
    public void Forget(IReadOnlyCollection<SiloAddress> silos)
    {
        if (silos.Count == 0)
        {
            return;
        }

        lock (_gate)
        {
            Publish(new ClusterMembershipSnapshot(_current.Members.RemoveRange(silos), new MembershipVersion(_current.Version.Value + 1)));
        }
    }

    private bool Merge(MembershipView view, bool isPart)
    {
        bool dead;
        lock (_gate)
        {
            ImmutableDictionary<SiloAddress, ClusterMember> merged = _current.Members;
            foreach (MemberEntry entry in view.Members)
            {
                var status = (SiloStatus)entry.Status;
                if (!merged.TryGetValue(entry.Silo, out ClusterMember? known) || known.Status < status)
                {
                    merged = merged.SetItem(entry.Silo, new ClusterMember(entry.Silo, status, entry.Name));
                }
            }

            foreach (ClusterMember member in merged.Values)
            {
                if (member.Status != SiloStatus.Dead && merged.Keys.Any(member.SiloAddress.IsPredecessorOf))
                {
                    merged = merged.SetItem(member.SiloAddress, new ClusterMember(member.SiloAddress, SiloStatus.Dead, member.Name));
                }
            }

            bool changed = !Same(merged, _current.Members);
            if (!changed)
            {
                // The same view by a higher number: the number is taken over, so that numbers can be compared.
                if (!isPart && view.Version > _current.Version.Value && view.Members.Length == merged.Count)
                {
                    Publish(new ClusterMembershipSnapshot(merged, new MembershipVersion(view.Version)));
                }

                return false;
            }

            bool isTheirs = !isPart && Same(merged, FromView(view)) && view.Version > _current.Version.Value;
            long version = isTheirs || isPart ? Math.Max(view.Version, _current.Version.Value + 1) : Math.Max(view.Version, _current.Version.Value) + 1;
            dead = merged.GetValueOrDefault(self)?.Status == SiloStatus.Dead && _current.GetSiloStatus(self) < SiloStatus.ShuttingDown;
            Publish(new ClusterMembershipSnapshot(merged, new MembershipVersion(version)));
        }

        if (dead)
        {
            DeclaredDead?.Invoke();
        }

        return true;
    }

    private void Publish(ClusterMembershipSnapshot snapshot)
    {
        ClusterMembershipSnapshot before = _current;
        _current = snapshot;
        TaskCompletionSource<ClusterMembershipSnapshot> announce = _next;
        _next = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Changed?.Invoke(snapshot);
        announce.SetResult(snapshot);
        foreach (ClusterMember member in snapshot.Members.Values)
        {
            if (before.Members.GetValueOrDefault(member.SiloAddress)?.Status != member.Status)
            {
                LogStatus(logger, self, member.SiloAddress, member.Name, member.Status);
                Notify(member);
            }
        }
    }

    private void Notify(ClusterMember member)
    {
        lock (_listeners)
        {
            if (_listeners.Count > 0)
            {
                // One after the other, so that no listener hears of an end before the beginning.
                _notified = NotifyAsync(_notified, [.. _listeners], member);
            }
        }
    }

    private async Task NotifyAsync(Task before, ISiloStatusListener[] listeners, ClusterMember member)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        foreach (ISiloStatusListener listener in listeners)
        {
            try
            {
                listener.SiloStatusChangeNotification(member.SiloAddress, member.Status);
            }
            catch (Exception exception)
            {
                LogListenerFailed(logger, listener.GetType(), exception);
            }
        }
    }

    private async IAsyncEnumerable<ClusterMembershipSnapshot> EnumerateAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        MembershipVersion? seen = null;
        while (true)
        {
            Task<ClusterMembershipSnapshot> next;
            ClusterMembershipSnapshot present;
            lock (_gate)
            {
                (next, present) = (_next.Task, _current);
            }

            if (seen is null || present.Version > seen)
            {
                seen = present.Version;
                yield return present;
            }
            else
            {
                await next.WaitAsync(cancellationToken);
            }
        }
    }

    private static bool Same(ImmutableDictionary<SiloAddress, ClusterMember> left, ImmutableDictionary<SiloAddress, ClusterMember> right) =>
        ReferenceEquals(left, right)
        || (left.Count == right.Count && left.All(pair => right.TryGetValue(pair.Key, out ClusterMember? other) && other.Status == pair.Value.Status));

    private static MembershipView ToView(ClusterMembershipSnapshot snapshot) => new(
        snapshot.Version.Value, [.. snapshot.Members.Values.Select(member => new MemberEntry(member.SiloAddress, (int)member.Status, member.Name))]);

    private static ImmutableDictionary<SiloAddress, ClusterMember> FromView(MembershipView view) =>
        view.Members.ToImmutableDictionary(entry => entry.Silo, entry => new ClusterMember(entry.Silo, (SiloStatus)entry.Status, entry.Name));

    [LoggerMessage(Level = LogLevel.Error, Message = "{Listener} failed on a change of a silo's status.")]
    private static partial void LogListenerFailed(ILogger logger, Type listener, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Self} sees silo {Silo} ({Name}) as {Status}.")]
    private static partial void LogStatus(ILogger logger, SiloAddress self, SiloAddress silo, string name, SiloStatus status);
}
