using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

/// <summary>Keeps one partition's buffer filled: at most one fetch under way, and none while enough is buffered.</summary>
internal sealed class FetchLoop(ConsumerCore core, IGrainFactory grains, PartitionFetcher fetcher)
{
    /// <summary>How much longer than its wait a fetch may take before it counts as lost.</summary>
    private static readonly TimeSpan ResponseGrace = TimeSpan.FromSeconds(5);

    private readonly IPartitionGrain _grain = grains.GetGrain<IPartitionGrain>(
        PartitionKey.Format(fetcher.Partition.Topic, fetcher.Partition.Partition));
    private readonly AsyncSignal _wake = new(core.Time);
    private readonly CancellationTokenSource _stop = new();
    private int _failures;

    public PartitionFetcher Fetcher => fetcher;

    public void Start()
    {
        fetcher.Changed = _wake.Set;
        _ = Task.Run(RunAsync);
    }

    public void Wake() => _wake.Set();

    /// <summary>The loop ends by itself, and without an exception.</summary>
    public void Stop() => _stop.Cancel();

    private async Task RunAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            if (!fetcher.TryBeginFetch(out long offset, out int version, out CancellationToken interrupted) || core.IsBufferFull)
            {
                await _wake.WaitAsync(Timeout.InfiniteTimeSpan, _stop.Token).ConfigureAwait(false);
                continue;
            }

            using var end = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, interrupted);
            try
            {
                if (offset < 0)
                    fetcher.Resolve(await ResolveAsync(offset, end.Token).ConfigureAwait(false), version);
                else
                    await FetchAsync(offset, version, end.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (end.IsCancellationRequested)
            {
                // The partition was sought or removed: the fetch is for a position that is no longer the partition's.
            }
            catch (Exception e)
            {
                await FailAsync(e, offset, version, end.Token).ConfigureAwait(false);
            }
        }
    }

    private async Task FetchAsync(long offset, int version, CancellationToken cancellationToken)
    {
        ConsumerOptions options = core.Options;
        var request = new PartitionRead(
            offset, CurrentLeaderEpoch: -1, options.MaxPartitionFetchBytes, MinOneBatch: true, (int)options.FetchMaxWait.TotalMilliseconds,
            options.IsolationLevel);
        long start = core.Time.GetTimestamp();
        PartitionReadResult response = await core.Losses.CallAsync(
            _ => _grain.FetchAsync(request), options.FetchMaxWait + ResponseGrace, cancellationToken).ConfigureAwait(false);
        ClientDiagnostics.RecordFetch(
            fetcher.Partition, core.Time.GetElapsedTime(start), response.Error == ErrorCode.None ? null : response.Error.ToString());
        switch (response.Error)
        {
            case ErrorCode.None:
                _failures = 0;
                core.Accept(fetcher, response, version);
                break;
            case ErrorCode.OffsetOutOfRange when !fetcher.MayReset(version):
                break;
            case ErrorCode.OffsetOutOfRange:
                core.Logger.LogInformation(
                    "{Partition}: offset {Offset} is out of range, resetting by auto.offset.reset={Reset}", fetcher.Partition, offset,
                    options.AutoOffsetReset);
                fetcher.Resolve(
                    await LookUpAsync(core.ResetOffset(fetcher.Partition, offset), cancellationToken).ConfigureAwait(false), version);
                break;
            default:
                throw new ArusException(response.Error, $"Reading {fetcher.Partition} at offset {offset}: {response.Error}");
        }
    }

    private async Task<long> ResolveAsync(long marker, CancellationToken cancellationToken)
    {
        if (marker == TopicPartitionOffset.Stored)
        {
            long committed = core.Options.GroupId is null ? -1
                : (await core.FetchCommittedAsync([fetcher.Partition], cancellationToken).ConfigureAwait(false))[0].Offset;
            fetcher.MarkCommitted(committed);
            if (committed >= 0)
                return committed;

            marker = core.ResetOffset(fetcher.Partition, marker);
        }

        return await LookUpAsync(marker, cancellationToken).ConfigureAwait(false);
    }

    private async Task<long> LookUpAsync(long marker, CancellationToken cancellationToken)
    {
        long timestamp = marker switch
        {
            TopicPartitionOffset.Beginning => ListOffsetRequest.Earliest,
            TopicPartitionOffset.End => ListOffsetRequest.Latest,
            _ => throw new ArgumentOutOfRangeException(
                nameof(marker), marker, "An offset is 0 or more, or one of the constants of TopicPartitionOffset."),
        };
        var request = new ListOffsetRequest(timestamp, CurrentLeaderEpoch: -1, core.Options.IsolationLevel);
        ListOffsetResponse response = await core.Losses.CallAsync(
            _ => _grain.ListOffsetAsync(request), core.Options.FetchMaxWait + ResponseGrace, cancellationToken).ConfigureAwait(false);
        return response.Error == ErrorCode.None
            ? response.Offset
            : throw new ArusException(response.Error, $"Looking up an offset of {fetcher.Partition}: {response.Error}");
    }

    /// <summary>A transient failure is retried after a backoff; any other is thrown by the application's next poll.</summary>
    private async Task FailAsync(Exception e, long offset, int version, CancellationToken cancellationToken)
    {
        ClientDiagnostics.RecordFetch(fetcher.Partition, TimeSpan.Zero, e.GetType().Name);
        bool isTransient = GrainRetry.IsTransient(e) || e is ArusException { Code: ErrorCode.UnknownTopicOrPartition };
        if (!isTransient)
        {
            core.Logger.LogError(e, "Reading {Partition} at offset {Offset} failed", fetcher.Partition, offset);
            fetcher.Fail(
                e as ConsumeException ?? new ConsumeException(
                    e is ArusException known ? known.Code : ErrorCode.UnknownServerError, fetcher.Partition, offset, e.Message, e),
                version);
            core.SignalPoll();
            return;
        }

        _failures++;
        core.Logger.LogDebug(e, "Reading {Partition} at offset {Offset} failed, attempt {Attempt}", fetcher.Partition, offset, _failures);

        // The partition was sought or removed, which ends the backoff.
        await Task.Delay(core.Backoff.Of(_failures), core.Time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
