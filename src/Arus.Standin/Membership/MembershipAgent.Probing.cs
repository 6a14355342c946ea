using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

internal sealed partial class MembershipAgent
{
    /// <summary>A round that comes later than this many probe periods after the last says more of this process than of others.</summary>
    private const double LateFactor = 1.25;

    private async Task ProbeLoopAsync()
    {
        using var timer = new PeriodicTimer(_options.ProbeTimeout);
        long last = Environment.TickCount64;
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token))
            {
                // A process that was held up itself has no business blaming others.
                long now = Environment.TickCount64;
                bool late = now - last > LateFactor * _options.ProbeTimeout.TotalMilliseconds;
                last = now;
                await Task.WhenAll(Watched().Select(silo => ProbeAsync(silo, late)));
                await FindPrimaryAsync();
                ForgetTheDead();
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
        catch (Exception exception)
        {
            LogProbingEnded(_silo.Logger, exception);
        }
    }

    /// <summary>The silos that follow this one in order of address.</summary>
    private SiloAddress[] Watched()
    {
        SiloAddress[] others = [.. OthersAlive().Order()];
        int start = Array.FindIndex(others, silo => silo.CompareTo(_silo.SiloAddress) > 0);
        start = Math.Max(start, 0);
        return [.. others.Skip(start).Concat(others.Take(start)).Take(_options.NumProbedSilos)];
    }

    private async Task ProbeAsync(SiloAddress silo, bool late)
    {
        try
        {
            long version = await _silo.GetSystemTarget<IMembershipService>(silo).ProbeAsync(_silo.SiloAddress).WaitAsync(_options.ProbeTimeout, _stopping.Token);
            _missed.TryRemove(silo, out _);
            if (version != Membership.CurrentSnapshot.Version.Value)
            {
                await TellAsync(silo, Membership.View);
            }
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            int missed = _missed.AddOrUpdate(silo, 1, (_, count) => late ? count : count + 1);
            LogMissed(_silo.Logger, silo, missed, exception.Message);
            if (missed >= _options.NumMissedProbesLimit)
            {
                await VoteAsync(silo);
            }
        }
    }

    /// <summary>Votes go to the first silo, by age, that seems alive; it alone counts them, so that two do not declare each other dead.</summary>
    private async Task VoteAsync(SiloAddress suspect)
    {
        SiloAddress counter = Trusted(suspect).Order().First();
        if (counter.Equals(_silo.SiloAddress))
        {
            await CountVoteAsync(suspect, _silo.SiloAddress);
            return;
        }

        try
        {
            await _silo.GetSystemTarget<IMembershipService>(counter).SuspectAsync(suspect, _silo.SiloAddress).WaitAsync(_options.ProbeTimeout);
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            LogVoteLost(_silo.Logger, suspect, counter, exception.Message);
        }
    }

    private async Task CountVoteAsync(SiloAddress suspect, SiloAddress voter)
    {
        if (Membership.CurrentSnapshot.GetSiloStatus(suspect) is SiloStatus.None or SiloStatus.Dead || Membership.IsDead(voter))
        {
            return;
        }

        int needed = Math.Min(_options.NumVotesForDeathDeclaration, Trusted(suspect).Count());
        lock (_votes)
        {
            if (!_votes.TryGetValue(suspect, out Dictionary<SiloAddress, long>? votes))
            {
                _votes[suspect] = votes = [];
            }

            long now = Environment.TickCount64;
            votes[voter] = now;
            long oldest = now - (long)_options.DeathVoteExpirationTimeout.TotalMilliseconds;
            if (votes.Count(vote => vote.Value >= oldest) < needed)
            {
                return;
            }

            _votes.Remove(suspect);
        }

        await DeclareDeadAsync(suspect);
    }

    private async Task DeclareDeadAsync(SiloAddress silo)
    {
        ClusterMember? member = Membership.CurrentSnapshot.Members.GetValueOrDefault(silo);
        if (member is not null && Membership.Set(silo, member.Name, SiloStatus.Dead))
        {
            LogDeclaredDead(_silo.Logger, silo, member.Name);
            await SpreadAsync();
        }
    }

    /// <summary>The active silos, this one included, that answer its probes; without the suspect.</summary>
    private IEnumerable<SiloAddress> Trusted(SiloAddress suspect) => Membership.GetActiveSilos()
        .Where(silo => !silo.Equals(suspect) && _missed.GetValueOrDefault(silo) < _options.NumMissedProbesLimit)
        .Append(_silo.SiloAddress)
        .Distinct();

    /// <summary>A primary that was restarted knows nobody, and cannot look for the others; they look for it.</summary>
    private async Task FindPrimaryAsync()
    {
        if (_primary is null || Membership.CurrentSnapshot.Members.Values.Any(member =>
            member.Status is not SiloStatus.Dead && member.SiloAddress.Endpoint.Equals(_primary)))
        {
            return;
        }

        try
        {
            await ExchangeWithPrimaryAsync();
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            LogPrimaryGone(_silo.Logger, _primary, exception.Message);
        }
    }

    private void ForgetTheDead()
    {
        long now = Environment.TickCount64;
        foreach (ClusterMember member in Membership.CurrentSnapshot.Members.Values.Where(member => member.Status == SiloStatus.Dead))
        {
            _deadSince.TryAdd(member.SiloAddress, now);
        }

        long oldest = now - (long)_options.DefunctSiloExpiration.TotalMilliseconds;
        SiloAddress[] expired = [.. _deadSince.Where(pair => pair.Value < oldest).Select(pair => pair.Key)];
        Membership.Forget(expired);
        foreach (SiloAddress silo in expired)
        {
            _deadSince.Remove(silo);
            _missed.TryRemove(silo, out _);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Silo {Silo} has missed {Missed} probes: {Reason}")]
    private static partial void LogMissed(ILogger logger, SiloAddress silo, int missed, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The vote against {Suspect} did not reach {Counter}: {Reason}")]
    private static partial void LogVoteLost(ILogger logger, SiloAddress suspect, SiloAddress counter, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Silo {Silo} ({Name}) is declared dead.")]
    private static partial void LogDeclaredDead(ILogger logger, SiloAddress silo, string name);

    [LoggerMessage(Level = LogLevel.Debug, Message = "No primary silo at {Primary}: {Reason}")]
    private static partial void LogPrimaryGone(ILogger logger, System.Net.IPEndPoint primary, string reason);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Probing has ended.")]
    private static partial void LogProbingEnded(ILogger logger, Exception exception);
}
