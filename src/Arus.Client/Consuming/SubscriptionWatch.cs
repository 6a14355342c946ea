using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>
/// Looks after what a member is subscribed to, every <see cref="ConsumerOptions.MetadataMaxAge"/>: topics that begin to match a pattern,
/// and partitions that subscribed topics have got, which belong to nobody until the group divides them. Thread-safe.
/// </summary>
/// <param name="membership">The place in the group; null once it was left.</param>
internal sealed class SubscriptionWatch(ConsumerCore core, TopicMetadata topics, Func<IGroupMembership?> membership) : IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly AsyncSignal changed = new(core.Time);
    private readonly CancellationTokenSource stop = new();
    private Task loop = Task.CompletedTask;
    private Regex? pattern;
    private IReadOnlyCollection<string> subscribed = [];

    /// <summary>What is subscribed to is of a subscription that the pattern has replaced.</summary>
    private bool isReplaced;

    /// <exception cref="ArgumentException">There is no topic.</exception>
    public void Watch(IReadOnlyCollection<string> wanted)
    {
        if (wanted.Count == 0)
        {
            throw new ArgumentException("A subscription names at least one topic; to end it, leave the group.", nameof(wanted));
        }

        lock (gate)
        {
            pattern = null;
            subscribed = wanted;
            membership()?.Subscribe(wanted);
            Start();
        }
    }

    public void Watch(Regex wanted)
    {
        lock (gate)
        {
            pattern = wanted;
            isReplaced = true;
            Start();
        }
    }

    public void Clear()
    {
        lock (gate)
        {
            pattern = null;
            subscribed = [];
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync().ConfigureAwait(false);
        await loop.ConfigureAwait(false);
    }

    private void Start()
    {
        if (loop.IsCompleted && !stop.IsCancellationRequested)
        {
            loop = Task.Run(RunAsync);
        }
        else
        {
            changed.Set();
        }
    }

    private async Task RunAsync()
    {
        IReadOnlyDictionary<string, int>? known = null;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                IReadOnlyCollection<string> watched = await MatchAsync().ConfigureAwait(false);
                IReadOnlyDictionary<string, int> now = await topics.GetPartitionCountsAsync(watched, stop.Token).ConfigureAwait(false);
                if (known is not null && now.Any(topic => known.GetValueOrDefault(topic.Key) != topic.Value))
                {
                    membership()?.RequestRejoin("the partitions of a subscribed topic have changed");
                }

                known = now;
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // Whatever it was, the next look may succeed.
                core.Logger.LogWarning(e, "Group {Group}: its topics and their partitions could not be read", core.Options.GroupId);
            }

            await changed.WaitAsync(core.Options.MetadataMaxAge, stop.Token).ConfigureAwait(false);
        }
    }

    /// <summary>Subscribes to what the pattern matches now, if there is one, and answers what is subscribed to.</summary>
    private async ValueTask<IReadOnlyCollection<string>> MatchAsync()
    {
        Regex? wanted;
        lock (gate)
        {
            wanted = pattern;
        }

        string[]? matching = wanted is null
            ? null
            : [.. (await topics.ListAsync(stop.Token).ConfigureAwait(false)).Where(topic => wanted.IsMatch(topic)).Order(StringComparer.Ordinal)];
        lock (gate)
        {
            if (matching is null || !ReferenceEquals(pattern, wanted))
            {
                return subscribed;
            }

            // When the last topic that matched is deleted the subscription stays, and the member with it: it has no partitions. Topics of
            // an earlier subscription are given up even when none takes their place; who had none joins when there is one.
            if ((matching.Length > 0 || isReplaced) && !matching.SequenceEqual(subscribed))
            {
                subscribed = matching;
                membership()?.Subscribe(matching);
            }

            isReplaced = false;
            return subscribed;
        }
    }
}
