using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>
/// Looks every <see cref="ConsumerOptions.MetadataMaxAge"/> for topics that begin to match a pattern, and for new partitions of subscribed
/// topics, which have no owner until the group rebalances. Thread-safe.
/// </summary>
internal sealed class SubscriptionWatch(ConsumerCore core, TopicMetadata topics) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly AsyncSignal _changed = new(core.Time);
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;
    private Regex? _pattern;
    private IReadOnlyCollection<string> _subscribed = [];

    /// <summary>The subscription is one that the pattern has replaced.</summary>
    private bool _isReplaced;

    /// <param name="pattern">Null for topics by name.</param>
    /// <param name="wanted">The topics, unless there is a pattern.</param>
    /// <exception cref="ArgumentException">There is neither a pattern nor a topic.</exception>
    public void Watch(Regex? pattern, IReadOnlyCollection<string> wanted)
    {
        if (pattern is null && wanted.Count == 0)
            throw new ArgumentException("A subscription names at least one topic; to end it, leave the group.", nameof(wanted));

        lock (_gate)
        {
            _pattern = pattern;
            _isReplaced = pattern is not null;
            if (pattern is null)
            {
                _subscribed = wanted;
                core.Membership?.Subscribe(wanted);
            }

            if (_loop.IsCompleted && !_stop.IsCancellationRequested)
                _loop = Task.Run(RunAsync);
            else
                _changed.Set();
        }
    }

    public void Clear()
    {
        lock (_gate)
        {
            _pattern = null;
            _subscribed = [];
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        IReadOnlyDictionary<string, int>? known = null;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                IReadOnlyCollection<string> watched = await MatchAsync().ConfigureAwait(false);
                IReadOnlyDictionary<string, int> now = await topics.GetPartitionCountsAsync(watched, _stop.Token).ConfigureAwait(false);
                if (known is not null && now.Any(topic => known.GetValueOrDefault(topic.Key) != topic.Value))
                    core.Membership?.RequestRejoin("the partitions of a subscribed topic have changed");

                known = now;
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // The next attempt may succeed.
                core.Logger.LogWarning(e, "Group {Group}: its topics and their partitions could not be read", core.Options.GroupId);
            }

            await _changed.WaitAsync(core.Options.MetadataMaxAge, _stop.Token).ConfigureAwait(false);
        }
    }

    /// <summary>Subscribes to what the pattern matches now, if there is one, and returns the subscription.</summary>
    private async ValueTask<IReadOnlyCollection<string>> MatchAsync()
    {
        Regex? wanted;
        lock (_gate)
            wanted = _pattern;

        string[]? matching = null;
        if (wanted is not null)
        {
            IReadOnlyList<string> all = await topics.ListAsync(_stop.Token).ConfigureAwait(false);
            matching = [.. all.Where(topic => wanted.IsMatch(topic)).Order(StringComparer.Ordinal)];
        }

        lock (_gate)
        {
            if (matching is null || !ReferenceEquals(_pattern, wanted))
                return _subscribed;

            // When the last topic that matched is deleted, the member keeps its subscription, and has no partitions. A subscription that
            // was replaced is given up even if no topic matches yet; a member without one joins once a topic matches.
            if ((matching.Length > 0 || _isReplaced) && !matching.SequenceEqual(_subscribed))
            {
                _subscribed = matching;
                core.Membership?.Subscribe(matching);
            }

            _isReplaced = false;
            return _subscribed;
        }
    }
}
