using System.Diagnostics;
using Arus.Coordination.Replication;
using Arus.Storage;

namespace Arus.Grains;

/// <summary>
/// A leadership of this broker over a partition, in one epoch. It ends when the broker loses the epoch, for good. Safe for use by any
/// thread.
/// </summary>
/// <param name="nowMs">The clock of the leases.</param>
internal sealed class Leadership(IPartitionLog log, ReplicaView view, LeaseTable leases, Func<long> nowMs)
{
    private const string Lost = "Another broker leads this partition now; whether the records are kept is not known.";

    /// <summary>Less than the coordinator waits, so that it learns how it ended.</summary>
    private static readonly TimeSpan MarkerPatience = TimeSpan.FromSeconds(10);

    /// <summary>Not disposed of, since several threads may be about to cancel it; without a timer it holds nothing.</summary>
    private readonly CancellationTokenSource _ended = new();

    private volatile ReplicaView _view = view;
    private TaskCompletionSource _changed = NewSource();

    public IPartitionLog Log { get; } = log;

    public int Epoch { get; } = view.State.LeaderEpoch;

    public ReplicaView View => _view;

    /// <summary>Tripped when the epoch is lost: nothing may wait for this leadership any more.</summary>
    public CancellationToken Ended => _ended.Token;

    /// <summary>Whether what the leader says of offsets is true: nobody else can have begun to lead.</summary>
    public bool GivesVerdicts => !_ended.IsCancellationRequested && nowMs() < leases.VerdictsUntilMs(_view);

    /// <summary>Whether everything that earlier leaders acknowledged is below the high watermark.</summary>
    public bool HasCaughtUp => Log.HighWatermark >= _view.EpochStart;

    /// <summary>Replicas that count for acks=all.</summary>
    public int InSync => _view.InSync;

    /// <summary>How many have to, for acks=all.</summary>
    public int RequiredInSync => Math.Min(Log.Config.MinInSyncReplicas, _view.State.Replicas.Length);

    public void Update(ReplicaView view)
    {
        Debug.Assert(view.State.LeaderEpoch == Epoch, "A leadership is of one epoch.");
        _view = view;
        Interlocked.Exchange(ref _changed, NewSource()).TrySetResult();
    }

    public void End()
    {
        _ended.Cancel();
        Interlocked.Exchange(ref _changed, NewSource()).TrySetResult();
    }

    /// <summary>Waits while the leadership is being moved.</summary>
    /// <returns>False when it is still being moved, or has ended.</returns>
    public async ValueTask<bool> WaitUntilAppendableAsync(TimeSpan patience)
    {
        long until = nowMs() + (long)patience.TotalMilliseconds;
        while (_view.HoldsAppends && !_ended.IsCancellationRequested)
        {
            Task changed = Volatile.Read(ref _changed).Task;
            long left = until - nowMs();
            if (left <= 0)
                return false;

            if (_view.HoldsAppends)
                await Task.WhenAny(changed, Task.Delay(TimeSpan.FromMilliseconds(left))).ConfigureAwait(false);
        }

        return !_ended.IsCancellationRequested;
    }

    /// <summary>
    /// Waits, for acks=all, until what was appended is below the high watermark, a duplicate's first append included; turns what is not
    /// into refusals after which a producer tries again.
    /// </summary>
    /// <param name="results">Of the append here.</param>
    public async ValueTask AcknowledgeAsync(PartitionAppend request, AppendEntryResult[] results)
    {
        long last = -1;
        for (int i = 0; i < results.Length; i++)
        {
            // What a producer cannot repeat is a verdict, which a later leader may know better.
            ErrorCode error = results[i].Error;
            if (IsVoid(error))
                results[i] = Refuse(ErrorCode.NotLeaderOrFollower, Lost);

            last = Math.Max(last, LastOffset(request, results, i));
        }

        if (last < 0 || request.RequiredAcks != -1)
            return;

        var patience = TimeSpan.FromMilliseconds(Math.Max(0, request.TimeoutMs));
        if (last >= Log.HighWatermark)
            await Log.WaitForAsync(last, patience, Ended).ConfigureAwait(false);

        // In this order: once the leadership has ended, the high watermark may be that of other records.
        long highWatermark = Log.HighWatermark;
        bool isLost = _ended.IsCancellationRequested || Log.Failure is not null;
        for (int i = 0; i < results.Length; i++)
        {
            if (LastOffset(request, results, i) is >= 0 and var offset && (isLost || offset >= highWatermark))
            {
                results[i] = isLost ? Refuse(ErrorCode.NotLeaderOrFollower, Lost)
                    : InSync < RequiredInSync ? Refuse(ErrorCode.NotEnoughReplicasAfterAppend, $"{InSync} replicas are in sync.")
                    : Refuse(ErrorCode.RequestTimedOut, "The replicas in sync did not confirm the records in time.");
            }
        }
    }

    /// <summary>Waits until a marker is below the high watermark.</summary>
    /// <param name="marker">The result of its append here.</param>
    /// <returns>An error unless it is; the coordinator sends it again then.</returns>
    public async ValueTask<ErrorCode> AcknowledgeMarkerAsync(LogAppendResult marker)
    {
        if (marker.Error != ErrorCode.None)
            return IsVoid(marker.Error) ? ErrorCode.NotLeaderOrFollower : marker.Error;

        if (marker.BaseOffset >= Log.HighWatermark)
            await Log.WaitForAsync(marker.BaseOffset, MarkerPatience, Ended).ConfigureAwait(false);

        // In this order: once the leadership has ended, the high watermark may be that of other records.
        long highWatermark = Log.HighWatermark;
        return _ended.IsCancellationRequested || Log.Failure is not null ? ErrorCode.NotLeaderOrFollower
            : marker.BaseOffset >= highWatermark ? ErrorCode.RequestTimedOut
            : ErrorCode.None;
    }

    /// <summary>Whether a refusal is one that a later leader may know better.</summary>
    private bool IsVoid(ErrorCode refusal) =>
        refusal == ErrorCode.FencedLeaderEpoch
        || (refusal is ErrorCode.OutOfOrderSequenceNumber or ErrorCode.InvalidProducerEpoch or ErrorCode.InvalidTxnState
            or ErrorCode.TransactionCoordinatorFenced && !GivesVerdicts);

    private static long LastOffset(PartitionAppend request, AppendEntryResult[] results, int i) => results[i].Error != ErrorCode.None
        ? -1
        : results[i].BaseOffset + new RecordBatchHeader(request.Entries[i].Span).LastOffsetDelta;

    private static AppendEntryResult Refuse(ErrorCode error, string message) => new(error, -1, -1, message);

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
