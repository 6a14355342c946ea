using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>
/// Where grains are active. The entries are spread over the active silos by a hash ring, in memory only: when silos come or go, the
/// new owners ask all silos for their activations, and each silo enters those again whose owner changed.
/// </summary>
/// <remarks>
/// Silos learn of a change of membership one after the other. Meanwhile two may each think that they own an entry, and a grain may
/// be activated twice; once views agree, one of the two activations is deactivated. Nothing more is promised.
/// </remarks>
internal sealed partial class GrainDirectory : IDirectoryService
{
    private const int MaxCached = 200_000;
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan RecoveryLimit = TimeSpan.FromSeconds(5);

    private readonly SiloRuntime _silo;
    private readonly ConcurrentDictionary<GrainId, SiloAddress> _cache = new();
    private readonly DirectoryPartition _partition = new();
    private volatile HashRing _ring = new([], MembershipVersion.MinValue);
    private volatile Task _recovered = Task.CompletedTask;

    public GrainDirectory(SiloRuntime silo)
    {
        _silo = silo;
        silo.Membership.Changed += OnMembershipChanged;
    }

    public bool TryGetCached(GrainId id, [NotNullWhen(true)] out SiloAddress? silo) => _cache.TryGetValue(id, out silo);

    public void Remember(GrainAddress address) => Remember(address.GrainId, address.SiloAddress!);

    public void Remember(GrainId id, SiloAddress silo)
    {
        if (_cache.Count >= MaxCached)
        {
            _cache.Clear();
        }

        if (!silo.Equals(_silo.SiloAddress))
        {
            _cache[id] = silo;
        }
    }

    public void Forget(GrainId id) => _cache.TryRemove(id, out _);

    /// <summary>Enters the activation; answers the one that was there before, if there was.</summary>
    public async Task<GrainAddress> RegisterAsync(GrainAddress address)
    {
        GrainAddress winner = (await AskOwnerAsync(address.GrainId, static (owner, one) => owner.RegisterAsync(one), address)).Address ?? address;
        Forget(address.GrainId);
        return winner;
    }

    public Task UnregisterAsync(GrainAddress address) =>
        _ring.Silos.IsEmpty ? Task.CompletedTask // The last silo goes, and the directory with it.
        : AskOwnerAsync(address.GrainId, static (owner, one) => owner.UnregisterAsync(one), address);

    /// <summary>Where the grain is active, if anywhere.</summary>
    public async Task<GrainAddress?> LookupAsync(GrainId id) =>
        (await AskOwnerAsync(id, static (owner, one) => owner.LookupAsync(one), id)).Address;

    Task<DirectoryAnswer> IDirectoryService.RegisterAsync(GrainAddress address) => AnswerAsync(address.GrainId, address, static (self, one) =>
    {
        // An entry of a silo that has died since is as good as none.
        if (self._silo.Membership.IsDead(one.SiloAddress!))
        {
            return one;
        }

        GrainAddress winner = self._partition.AddOrGet(one);
        if (!winner.Matches(one) && self._silo.Membership.IsDead(winner.SiloAddress!))
        {
            self._partition.Remove(winner);
            winner = self._partition.AddOrGet(one);
        }

        return winner;
    });

    Task<DirectoryAnswer> IDirectoryService.LookupAsync(GrainId grainId) => AnswerAsync(grainId, grainId, static (self, id) =>
        self._partition.Find(id) is { } found && !self._silo.Membership.IsDead(found.SiloAddress!) ? found : null);

    Task<DirectoryAnswer> IDirectoryService.UnregisterAsync(GrainAddress address) => AnswerAsync(address.GrainId, address, static (self, one) =>
    {
        self._partition.Remove(one);
        return null;
    });

    Task<GrainAddress[]> IDirectoryService.GetActivationsAsync(SiloAddress owner, SiloAddress[] silos)
    {
        var ring = new HashRing(silos, default);
        return Task.FromResult(_silo.Catalog.Registered
            .Where(activation => !activation.IsGone && owner.Equals(ring.OwnerOf(activation.GrainId)))
            .Select(activation => activation.Address)
            .ToArray());
    }

    private async Task<DirectoryAnswer> AnswerAsync<TState>(GrainId id, TState state, Func<GrainDirectory, TState, GrainAddress?> answer)
    {
        await _recovered;
        HashRing ring = _ring;
        return _silo.SiloAddress.Equals(ring.OwnerOf(id))
            ? new DirectoryAnswer(true, ring.Version.Value, answer(this, state))
            : new DirectoryAnswer(false, ring.Version.Value, null);
    }

    /// <summary>Asks whoever keeps the grain's entry, and asks again while views of the cluster differ or the owner is dying.</summary>
    private async Task<DirectoryAnswer> AskOwnerAsync<TState>(GrainId id, Func<IDirectoryService, TState, Task<DirectoryAnswer>> ask, TState state)
    {
        long end = Environment.TickCount64 + (long)_silo.Messaging.SystemResponseTimeout.TotalMilliseconds;
        while (true)
        {
            Exception? failure = null;
            SiloAddress? owner = _ring.OwnerOf(id);
            if (owner is null && _silo.Membership.CurrentStatus.IsTerminating())
            {
                // The last silo is going: there is no directory any more, and nobody to miss it.
                return new DirectoryAnswer(true, _ring.Version.Value, null);
            }

            try
            {
                if (owner is not null)
                {
                    IDirectoryService service = owner.Equals(_silo.SiloAddress) ? this : _silo.GetSystemTarget<IDirectoryService>(owner);
                    DirectoryAnswer answer = await ask(service, state);
                    if (answer.IsOwner)
                    {
                        return answer;
                    }
                }
            }
            catch (Exception exception) when (exception is OrleansException or TimeoutException)
            {
                failure = exception;
            }

            if (Environment.TickCount64 > end || _silo.IsStopped)
            {
                throw new OrleansException($"The directory entry of {id} cannot be reached on {owner?.ToString() ?? "any silo"}.", failure);
            }

            await Task.Delay(RetryDelay);
        }
    }

    private void OnMembershipChanged(ClusterMembershipSnapshot snapshot)
    {
        HashRing before = _ring;
        var active = snapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress);
        var ring = new HashRing(active, snapshot.Version);
        foreach ((GrainId id, SiloAddress silo) in _cache)
        {
            if (_silo.Membership.IsDead(silo))
            {
                _cache.TryRemove(new KeyValuePair<GrainId, SiloAddress>(id, silo));
            }
        }

        _partition.RemoveWhere(entry => _silo.Membership.IsDead(entry.SiloAddress!));
        if (ring.Silos.SequenceEqual(before.Silos))
        {
            return;
        }

        Task earlier = _recovered;
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _recovered = started.Task;
        _ring = ring;
        _partition.RemoveWhere(entry => !_silo.SiloAddress.Equals(ring.OwnerOf(entry.GrainId)));
        _ = Task.Run(() => RecoverAsync(earlier, before, ring, started));
    }

    private async Task RecoverAsync(Task earlier, HashRing before, HashRing ring, TaskCompletionSource recovered)
    {
        await earlier;
        if (ring.Silos.Contains(_silo.SiloAddress))
        {
            await Task.WhenAll(ring.Silos.Where(silo => !silo.Equals(_silo.SiloAddress)).Select(silo => RecoverFromAsync(silo, ring)));
        }

        recovered.SetResult();
        foreach (Activation activation in _silo.Catalog.Registered)
        {
            SiloAddress? owner = ring.OwnerOf(activation.GrainId);
            if (!activation.IsGone && owner is not null && !owner.Equals(before.OwnerOf(activation.GrainId)))
            {
                await EnterAgainAsync(activation);
            }
        }
    }

    private async Task RecoverFromAsync(SiloAddress silo, HashRing ring)
    {
        long end = Environment.TickCount64 + (long)RecoveryLimit.TotalMilliseconds;
        while (!_silo.Membership.IsDead(silo) && !_silo.IsStopped && Environment.TickCount64 < end)
        {
            try
            {
                GrainAddress[] found = await _silo.GetSystemTarget<IDirectoryService>(silo)
                    .GetActivationsAsync(_silo.SiloAddress, [.. ring.Silos])
                    .WaitAsync(RecoveryLimit);
                foreach (GrainAddress address in found)
                {
                    _partition.AddOrGet(address);
                }

                return;
            }
            catch (Exception exception) when (exception is OrleansException or TimeoutException)
            {
                await Task.Delay(RetryDelay);
            }
        }

        LogNotRecovered(_silo.Logger, silo);
    }

    private async Task EnterAgainAsync(Activation activation)
    {
        try
        {
            GrainAddress winner = await RegisterAsync(activation.Address);
            if (!winner.Matches(activation.Address))
            {
                Remember(winner);
                activation.Deactivate(new DeactivationReason(DeactivationReasonCode.DuplicateActivation, $"The grain is active on {winner.SiloAddress} too."));
            }
        }
        catch (OrleansException exception)
        {
            LogNotEntered(_silo.Logger, activation.GrainId, exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Silo {Silo} did not say which grains are active on it; they may be activated again.")]
    private static partial void LogNotRecovered(ILogger logger, SiloAddress silo);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Grain {GrainId} could not be entered into the directory again: {Reason}")]
    private static partial void LogNotEntered(ILogger logger, GrainId grainId, string reason);
}
