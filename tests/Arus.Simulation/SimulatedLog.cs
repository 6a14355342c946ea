using System.Collections.Immutable;
using Arus.Coordination.Replication;
using Arus.Storage;

namespace Arus.Simulation;

/// <summary>A batch where it lies in a log.</summary>
/// <param name="Crc">Tells batches apart: producer id and sequence are under it, offset and epoch are not.</param>
internal readonly record struct StoredBatch(long Offset, long Next, int Epoch, uint Crc);

/// <summary>
/// The product's log over a broker's disk, and beside it what should be in it. When its process is gone, it still tells what it was.
/// </summary>
internal sealed class SimulatedLog : IReplicaLog
{
    private readonly InlineScheduler _scheduler = new();
    private readonly Broker _broker;
    private readonly LogProvider _provider;
    private readonly IPartitionLog _log;
    private readonly bool _keepsLogId;
    private Guid _firstLogId;

    private SimulatedLog(Broker broker, PartitionState state, TopicConfig config, long nowMs)
    {
        _broker = broker;
        State = state;
        var options = new LogProviderOptions
        {
            Directory = $"/{state.Id.TopicId:N}-{state.Id.Partition}",
            Flush = broker.Cluster.Plan.Flush,
            Time = new LogClock(this, broker),
            CacheBytes = 1 << 20,
            NewLogId = broker.Cluster.World.NewId,
            BootId = broker.BootId,
            HighWatermarkCheckpointInterval = TimeSpan.FromSeconds(2),
        };
        _provider = new LogProvider(options, broker.Disk, _scheduler);
        _log = _scheduler.Run(_provider.OpenAsync(
            new TopicPartition(state.Topic, state.Id.Partition), state.Id.TopicId, config, replication: new LogReplication(() => { })));
        _scheduler.RunAll();
        OpenedAtMs = nowMs;
        _keepsLogId = broker.Cluster.Bug == Bug.LogIdNotRenewed;
        _firstLogId = _keepsLogId ? broker.KeptLogIds.TryAdd(state.Id, _log.LogId) ? _log.LogId : broker.KeptLogIds[state.Id] : _log.LogId;
        ReadAll();
        Remember();
    }

    public PartitionState State { get; }

    public PartitionId Id => State.Id;

    public int BrokerId => _broker.Id;

    public long OpenedAtMs { get; }

    public bool IsOpen { get; private set; } = true;

    public bool IsCleanlyClosed { get; private set; }

    /// <summary>What the log holds, durable or not, in offset order.</summary>
    public List<StoredBatch> Batches { get; } = [];

    public Guid LogId { get; private set; }

    public int FencedEpoch { get; private set; }

    public long LogStartOffset { get; private set; }

    public long LogEndOffset { get; private set; }

    public long DurableEndOffset { get; private set; }

    public long HighWatermark { get; private set; }

    /// <summary>What a crash must leave: the durable end, but for what is being cut off.</summary>
    public long GuaranteedEnd { get; private set; }

    public ImmutableArray<EpochStartOffset> Epochs { get; private set; } = [];

    public Exception? Failure => _log.Failure;

    /// <summary>Told when work that a timer began has made the log fail.</summary>
    public event Action? FailedByItself;

    /// <exception cref="LogException">It cannot be opened.</exception>
    public static SimulatedLog Open(Broker broker, PartitionState state, TopicConfig config, long nowMs) =>
        new(broker, state, config, nowMs);

    public ValueTask<LogAppendResult[]> Append(ReadOnlyMemory<byte>[] entries, int epoch, AppendOrigin origin)
    {
        long before = _log.LogEndOffset;
        ValueTask<LogAppendResult[]> task = _log.AppendAsync(entries, epoch, origin);
        if (_log.LogEndOffset > before)
            NoteAppended(entries, before, epoch, origin);

        LogEndOffset = _log.LogEndOffset;
        return task;
    }

    /// <summary>Writes what is queued.</summary>
    public void RunIo()
    {
        _scheduler.RunAll();
        Remember();
    }

    /// <summary>Does what a timer of the log's is for.</summary>
    public void RunTimer(Action callback)
    {
        callback();
        RunIo();
        if (_log.Failure is not null)
            FailedByItself?.Invoke();
    }

    public ValueTask Prepare(int epoch, long truncateTo, long restartAt, bool renewLogId)
    {
        GuaranteedEnd = restartAt >= 0 || renewLogId ? 0 : truncateTo >= 0 ? Math.Min(GuaranteedEnd, truncateTo) : GuaranteedEnd;
        return _log.PrepareAsync(epoch, truncateTo, restartAt, renewLogId);
    }

    public void FinishPrepare(ValueTask prepare, long truncateTo, long restartAt, bool renewLogId)
    {
        _scheduler.Run(prepare);
        if (restartAt >= 0)
            Batches.Clear();
        else if (truncateTo >= 0)
            Batches.RemoveAll(batch => batch.Next > truncateTo);

        if (renewLogId)
            _firstLogId = _keepsLogId ? _firstLogId : _log.LogId;

        RunIo();
        GuaranteedEnd = DurableEndOffset;
    }

    public LogReadResult Read(long offset, int maxBytes, bool toDurableEnd) =>
        _scheduler.Run(_log.ReadAsync(
            offset, maxBytes, minOneBatch: true, toDurableEnd ? LogReadLimit.DurableEnd : LogReadLimit.HighWatermark));

    public void AdvanceHighWatermark(long highWatermark, long logStartOffset)
    {
        _log.AdvanceHighWatermark(highWatermark, logStartOffset);
        RunIo();
    }

    public LogDeleteResult DeleteRecords(long before)
    {
        LogDeleteResult result = _scheduler.Run(_log.DeleteRecordsAsync(before));
        RunIo();
        return result;
    }

    public void Maintain()
    {
        _scheduler.Run(_log.MaintainAsync());
        RunIo();
    }

    public void Close(bool delete)
    {
        Freeze();
        _scheduler.Run(delete ? _provider.DeleteAsync(_log.Partition, Id.TopicId) : _log.DisposeAsync());
        _scheduler.RunAll();
        _scheduler.Stop();
        IsCleanlyClosed = _log.Failure is null;
    }

    /// <summary>The process is gone.</summary>
    public void Abandon()
    {
        Freeze();
        _scheduler.Stop();
    }

    /// <summary>The batch that holds an offset; null when the log has none.</summary>
    public StoredBatch? Find(long offset)
    {
        int low = 0;
        int high = Batches.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            if (Batches[middle].Next <= offset)
                low = middle + 1;
            else if (Batches[middle].Offset > offset)
                high = middle - 1;
            else
                return Batches[middle];
        }

        return null;
    }

    /// <summary>Compares what the log says with what it should hold.</summary>
    public void CheckContents()
    {
        List<StoredBatch> read = ReadBatches(_log.LogStartOffset);
        List<StoredBatch> expected = Batches.FindAll(batch => batch.Next > _log.LogStartOffset && batch.Next <= _log.DurableEndOffset);
        if (!read.SequenceEqual(expected))
        {
            throw ViolationException.Safety(
                3, $"the log of {State.Topic}/{Id.Partition} on broker {BrokerId} reads {string.Join(' ', read)} and was given "
                + string.Join(' ', expected));
        }
    }

    private void Freeze() => IsOpen = false;

    private void Remember()
    {
        LogId = _keepsLogId ? _firstLogId : _log.LogId;
        FencedEpoch = _log.FencedEpoch;
        LogStartOffset = _log.LogStartOffset;
        LogEndOffset = _log.LogEndOffset;
        if (_log.DurableEndOffset > DurableEndOffset)
            GuaranteedEnd = _log.DurableEndOffset;

        DurableEndOffset = _log.DurableEndOffset;
        HighWatermark = _log.HighWatermark;
        Epochs = [.. _log.Epochs.Select(epoch => new EpochStartOffset(epoch.Epoch, epoch.StartOffset))];
    }

    private void NoteAppended(ReadOnlyMemory<byte>[] entries, long before, int epoch, AppendOrigin origin)
    {
        PartitionHistory history = _broker.Cluster.History(Id);
        foreach (ReadOnlyMemory<byte> entry in entries)
        {
            for (ReadOnlyMemory<byte> rest = entry; !rest.IsEmpty;)
            {
                var header = new RecordBatchHeader(rest.Span);
                bool isReplica = origin == AppendOrigin.Replica;
                long offset = isReplica ? header.BaseOffset : before;
                var batch = new StoredBatch(
                    offset, offset + header.LastOffsetDelta + 1, isReplica ? header.PartitionLeaderEpoch : epoch, header.Crc);
                history.Appended(batch, Batches.Count > 0 ? Batches[^1] : null, this);
                Batches.Add(batch);
                before = batch.Next;
                rest = rest[header.SizeInBytes..];
            }
        }
    }

    private void ReadAll()
    {
        foreach (StoredBatch batch in ReadBatches(_log.LogStartOffset))
            Batches.Add(batch);

        PartitionHistory history = _broker.Cluster.History(Id);
        for (int i = 0; i < Batches.Count; i++)
            history.Appended(Batches[i], i > 0 ? Batches[i - 1] : null, this);
    }

    private List<StoredBatch> ReadBatches(long offset)
    {
        var batches = new List<StoredBatch>();
        while (offset < _log.DurableEndOffset)
        {
            LogReadResult result = Read(offset, 1 << 20, toDurableEnd: true);
            if (result.Error != ErrorCode.None || result.Records.Length == 0)
                throw ViolationException.Safety(3, $"the log of broker {BrokerId} cannot be read at {offset}: {result.Error}");

            foreach (ReadOnlyMemory<byte> records in result.Records)
                batches.AddRange(BatchesOf(records));

            offset = batches[^1].Next;
        }

        return batches;
    }

    public static IEnumerable<StoredBatch> BatchesOf(ReadOnlyMemory<byte> records)
    {
        while (!records.IsEmpty)
        {
            yield return First(records, out int size);
            records = records[size..];
        }
    }

    private static StoredBatch First(ReadOnlyMemory<byte> records, out int size)
    {
        var header = new RecordBatchHeader(records.Span);
        size = header.SizeInBytes;
        return new StoredBatch(header.BaseOffset, header.NextOffset, header.PartitionLeaderEpoch, header.Crc);
    }
}
