using Arus.Grains;
using Arus.Testing;

namespace Arus.Benchmarks;

/// <summary>
/// The grains that a client talks to, in its own process and without a log: appends are answered, from another thread, and forgotten;
/// fetches are answered with slices of one batch's copies. Counts what it allocates itself, so that this can be taken off. The cluster of
/// Arus.Testing would not do: its real logs check, copy and keep every batch, and would be most of what is measured.
/// </summary>
internal sealed class FakeGrains
{
    public const string Topic = "t";

    private readonly FakePartition _partition;

    public FakeGrains(ReadOnlyMemory<byte>[] log)
    {
        _partition = new FakePartition(log);
        Factory = Fake.Of<IGrainFactory>((method, _) => Grain(method.GetGenericArguments()[0].Name));
    }

    public IGrainFactory Factory { get; }

    public FakePartition Partition => _partition;

    private object Grain(string type) => type switch
    {
        nameof(ITopicGrain) => Fake.Of<ITopicGrain>((_, _) => Task.FromResult<Grains.TopicDescription?>(
            new Grains.TopicDescription(Topic, Guid.Empty, [new PartitionAssignment(0, 1, 0, [1], [1])], [], 1, IsInternal: false))),
        nameof(IProducerIdGrain) => Fake.Of<IProducerIdGrain>((_, _) => Task.FromResult(1L)),
        nameof(IPartitionGrain) => Fake.Of<IPartitionGrain>((method, arguments) => method.Name switch
        {
            nameof(IPartitionGrain.AppendAsync) => _partition.AppendAsync((PartitionAppend)arguments[0]!),
            nameof(IPartitionGrain.FetchAsync) => _partition.FetchAsync((PartitionRead)arguments[0]!),
            _ => throw new NotSupportedException(method.Name),
        }),
        _ => throw new NotSupportedException(type),
    };
}

/// <param name="log">Batches in offset order; what is behind them is answered with an endless wait.</param>
internal sealed class FakePartition(ReadOnlyMemory<byte>[] log)
{
    private readonly long[] _bases = Array.ConvertAll(log, batch => new RecordBatchHeader(batch.Span).BaseOffset);
    private long _end;
    private long _allocated;

    /// <summary>Entries of appends, or batches handed out.</summary>
    public long Batches { get; private set; }

    public long Calls { get; private set; }

    /// <summary>Bytes that stood for what the cluster would have allocated.</summary>
    public long Allocated => Interlocked.Read(ref _allocated);

    public Task<PartitionAppendResult> AppendAsync(PartitionAppend request)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        var results = new AppendEntryResult[request.Entries.Count];
        for (int i = 0; i < results.Length; i++)
        {
            results[i] = new AppendEntryResult(ErrorCode.None, _end, -1);
            _end += new RecordBatchHeader(request.Entries[i].Span).Count;
        }

        Batches += results.Length;
        return Answer(new PartitionAppendResult(0, 0, results), before);
    }

    public Task<PartitionReadResult> FetchAsync(PartitionRead request)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        int first = Array.BinarySearch(_bases, request.Offset);
        if (first < 0)
            return new TaskCompletionSource<PartitionReadResult>().Task;

        int count = 0;
        for (int bytes = 0; first + count < log.Length && (count == 0 || bytes + log[first + count].Length <= request.MaxBytes); count++)
            bytes += log[first + count].Length;

        Batches += count;
        long end = new RecordBatchHeader(log[^1].Span).NextOffset;
        return Answer(new PartitionReadResult(ErrorCode.None, 0, end, end, 0, log[first..(first + count)]), before);
    }

    /// <summary>Later, from another thread, as a network does it: an answer that is there at once would hide what waiting costs.</summary>
    private Task<T> Answer<T>(T response, long before)
    {
        Calls++;
        var answer = new LateAnswer<T>(response);
        ThreadPool.UnsafeQueueUserWorkItem(answer, preferLocal: false);
        Interlocked.Add(ref _allocated, GC.GetAllocatedBytesForCurrentThread() - before);
        return answer.Task;
    }

    private sealed class LateAnswer<T>(T response) : TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously),
    IThreadPoolWorkItem
    {
        public void Execute() => SetResult(response);
    }
}
