using System.Text;
using Arus.Compression;
using Arus.Grains;
using Arus.Storage;

namespace Arus.Testing;

/// <summary>
/// The leader of a partition in this process: the grain's own code over a real log in memory. It records its calls, and holds, loses,
/// fails or refuses them when a test asks for it. Thread-safe.
/// </summary>
/// <remarks>
/// What tests put on the log or read back of it blocks the calling thread for the time that memory takes, so that a test may arrange its
/// log in one statement.
/// </remarks>
public sealed partial class InMemoryPartition
{
    /// <summary>All logs of a test run share their threads, which nobody has to stop.</summary>
    private static readonly LogThreads Threads = new(threads: 1);

    private static readonly BrokerMetrics Metrics = new(TimeProvider.System);

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly Task<LeaderLog> _opening;
    private readonly List<PartitionAppend> _appends = [];
    private readonly List<PartitionRead> _fetches = [];
    private readonly List<PartitionWait> _waits = [];
    private readonly List<long> _fetchedBytes = [];
    private readonly HashSet<(long Producer, short Epoch, int Sequence)> _accepted = [];
    private readonly Dictionary<long, Action<byte[]>> _damages = [];
    private readonly Conditions _conditions = new();
    private TaskCompletionSource? _hold;
    private TaskCompletionSource? _holdWaits;
    private int _appendsAtOnce;

    /// <param name="time">The log's clock; null for one that stands still, which <see cref="EndWaits"/> moves.</param>
    public InMemoryPartition(TimeProvider? time = null, int leaderEpoch = 0)
    {
        _time = time ?? new ManualTimeProvider();
        _opening = OpenAsync(_time, leaderEpoch, (transaction, _, _) => Verify?.Invoke(transaction) ?? Task.FromResult(ErrorCode.None));
    }

    /// <summary>The append calls so far. Their bytes are copies: a caller only lends them until it is answered.</summary>
    public IReadOnlyList<PartitionAppend> Appends => Copy(_appends);

    public IReadOnlyList<PartitionRead> Fetches => Copy(_fetches);

    /// <summary>How many bytes of records each fetch returned.</summary>
    public IReadOnlyList<long> FetchedBytes => Copy(_fetchedBytes);

    /// <summary>Calls that wait, or waited, for an offset.</summary>
    public IReadOnlyList<PartitionWait> Waits => Copy(_waits);

    public int RunningWaits { get; private set; }

    public int MostAppendsAtOnce { get; private set; }

    /// <summary>What every call fails with; null for none.</summary>
    public Exception? Failure { get; set; }

    /// <summary>What every fetch and every wait is refused with.</summary>
    public ErrorCode FetchError { get; set; }

    /// <summary>Asked before an append takes effect: a fault, or null.</summary>
    public Func<PartitionAppend, Exception?>? FailBefore { get; set; }

    /// <summary>Asked after an append took effect: a fault, or null.</summary>
    public Func<PartitionAppend, Exception?>? FailAfter { get; set; }

    /// <summary>
    /// Asked for each entry: a refusal, or None. <see cref="ErrorCode.InvalidRecord"/> refuses the entry unless it was accepted before,
    /// since a leader decides so by the bytes alone; every other code is the leader's state, and refuses the whole call.
    /// </summary>
    public Func<ErrorCode>? Refuse { get; set; }

    /// <summary>Asked before a fetch: a fault, or null.</summary>
    public Func<PartitionRead, Exception?>? FailFetch { get; set; }

    /// <summary>Asked before a fetch: an error to answer with, or None.</summary>
    public Func<PartitionRead, ErrorCode>? RefuseFetch { get; set; }

    /// <summary>Answers for the coordinator of a transaction that is to begin here; null for one that confirms it.</summary>
    public Func<AppendTransaction, Task<ErrorCode>>? Verify { get; set; }

    /// <summary>The next append is neither carried out nor answered.</summary>
    public bool LoseNextCall { get; set; }

    /// <summary>The topic's <c>max.message.bytes</c>, with no limit at first.</summary>
    public int MaxBatchBytes
    {
        get => Log.Config.MaxMessageBytes;
        set => Log.Reconfigure(Log.Config with { MaxMessageBytes = value });
    }

    public long EndOffset => Log.HighWatermark;

    /// <summary>The batches on the log, in their order.</summary>
    public byte[][] Batches
    {
        get
        {
            var batches = new List<byte[]>();
            for (long offset = Log.LogStartOffset; offset < EndOffset; offset = new RecordBatchHeader(batches[^1]).NextOffset)
            {
                LogReadResult read = Log.ReadAsync(offset, maxBytes: 1, minOneBatch: true).AsTask().GetAwaiter().GetResult();
                batches.Add(Join(read.Records));
            }

            return [.. batches];
        }
    }

    private IPartitionLog Log => _opening.GetAwaiter().GetResult().Log;

    /// <summary>From now on appends wait until <see cref="Release"/>.</summary>
    public void Hold() => _hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Release()
    {
        TaskCompletionSource? held = _hold;
        _hold = null;
        held?.SetResult();
    }

    /// <summary>From now on calls that wait for an offset are not answered, as if the answer were on its way.</summary>
    public void HoldWaits() => _holdWaits = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the condition holds; it is tried after each call.</summary>
    /// <exception cref="TimeoutException">It did not within <see cref="TestTimeout.Value"/>.</exception>
    public Task WhenAsync(Func<InMemoryPartition, bool> condition)
    {
        lock (_gate)
            return _conditions.WhenAsync(() => condition(this));
    }

    /// <summary>Completes at the next append call.</summary>
    public Task NextCallAsync()
    {
        int calls = Appends.Count;
        return WhenAsync(partition => partition.Appends.Count > calls);
    }

    /// <summary>Appends a batch past all that is counted or made to fail, and returns its offset.</summary>
    public long Put(ReadOnlySpan<byte> batch)
    {
        LeaderLog leader = _opening.GetAwaiter().GetResult();
        LogAppendResult result = leader.Log.AppendAsync([batch.ToArray()], leader.LeaderEpoch).AsTask().GetAwaiter().GetResult()[0];
        Record(() => { });
        return result.Error == ErrorCode.None ? result.BaseOffset : throw new ArusException(result.Error, result.Message!);
    }

    /// <summary>Appends a batch with these values, each under the key <c>k</c> and itself.</summary>
    public void Put(params string[] values)
    {
        using var builder = new RecordBatchBuilder();
        foreach (string value in values)
            builder.Append(1_000, Encoding.UTF8.GetBytes("k" + value), Encoding.UTF8.GetBytes(value));

        Put(builder.Build(new RecordBatchOptions()).Span);
    }

    /// <summary>From now on fetches get the batch at this offset changed, as a bad disk or network changes bytes.</summary>
    public void Damage(long offset, Action<byte[]> change)
    {
        lock (_gate)
            _damages[offset] = change;
    }

    /// <summary>Deletes all records before an offset.</summary>
    public void DeleteBefore(long offset) => Log.DeleteRecordsAsync(offset).AsTask().GetAwaiter().GetResult();

    /// <summary>Ends the waits by their time limit.</summary>
    /// <exception cref="InvalidCastException">The clock is not a <see cref="ManualTimeProvider"/>.</exception>
    public void EndWaits() => ((ManualTimeProvider)_time).Advance(TimeSpan.FromMilliseconds(PartitionRead.MaxWaitLimitMs));

    /// <summary>Every record on the log: offset, key and value as text.</summary>
    public List<(long Offset, string? Key, string? Value)> Records()
    {
        var records = new List<(long, string?, string?)>();
        using var scratch = new PooledBufferWriter();
        foreach (byte[] batch in Batches)
        {
            var header = new RecordBatchHeader(batch);
            ValidationResult opened = RecordBatchPayload.TryOpen(batch, scratch, out ReadOnlyMemory<byte> payload);
            var reader = new RecordReader(opened.IsOk ? payload.Span : throw new InvalidDataException(opened.Message), header.Count);
            while (reader.TryRead(out RecordView record))
            {
                records.Add((
                    header.BaseOffset + record.OffsetDelta, record.IsKeyNull ? null : Encoding.UTF8.GetString(record.Key),
                    record.IsValueNull ? null : Encoding.UTF8.GetString(record.Value)));
            }
        }

        return records;
    }

    private static async Task<LeaderLog> OpenAsync(TimeProvider time, int leaderEpoch, VerifyTransaction verify)
    {
        var options = new LogProviderOptions { Directory = "/memory", Time = time, CacheBytes = 1 << 20 };
        var provider = new LogProvider(options, new MemoryFileSystem(), Threads);
        TopicConfig config = TopicConfig.Resolve(new Dictionary<string, string>(), BrokerConfig.Of());
        IPartitionLog log = await provider.OpenAsync(
            new TopicPartition("topic", 0), Guid.Empty, config with { MaxMessageBytes = int.MaxValue }, leaderEpoch);
        return new LeaderLog(log, leaderEpoch, inSyncReplicas: 1, Metrics, verify: verify);
    }

    private static byte[] Join(IEnumerable<ReadOnlyMemory<byte>> slices) => [.. slices.SelectMany(slice => slice.ToArray())];

    private T[] Copy<T>(List<T> list)
    {
        lock (_gate)
            return [.. list];
    }

    private void Record(Action change)
    {
        lock (_gate)
        {
            change();
            _conditions.Check();
        }
    }
}
