using System.Diagnostics;
using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Gathers the results of one Produce request's partitions into its response.</summary>
internal sealed class ProduceOperation : IAppendOwner
{
    private readonly ProduceRequest _request;
    private readonly KafkaRequestContext _context;
    private readonly ProduceResponse _response;
    private readonly List<(int Topic, int Partition)> _parts = [];
    private readonly TaskCompletionSource<IApiMessage?> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // One more than the parts in flight until all are added, so that the operation does not complete before.
    private int _left = 1;
    private string? _failure;

    public ProduceOperation(ProduceRequest request, KafkaRequestContext context)
    {
        _request = request;
        _context = context;
        _response = new ProduceResponse
        {
            Responses = Array.ConvertAll(request.TopicData, static topic => new ProduceResponse.TopicProduceResponse
            {
                Name = topic.Name,
                TopicId = topic.TopicId,
                PartitionResponses = new ProduceResponse.PartitionProduceResponse[topic.PartitionData.Length],
            }),
        };
    }

    /// <summary>The response, or null for a request that wants none.</summary>
    public Task<IApiMessage?> Response => _done.Task;

    /// <summary>The number of a part, for <see cref="Complete"/>.</summary>
    public int Add(int topic, int partition)
    {
        Interlocked.Increment(ref _left);
        lock (_parts)
        {
            _parts.Add((topic, partition));
            return _parts.Count - 1;
        }
    }

    /// <summary>No part will be added any more.</summary>
    public void Seal() => CountDown();

    public void Complete(int part, AppendEntryResult result, int leaderEpoch, long logStartOffset, bool memoryInUse)
    {
        if (memoryInUse)
            _context.Frame.Abandoned = true;

        int topic, partition;
        lock (_parts)
            (topic, partition) = _parts[part];

        int index = _request.TopicData[topic].PartitionData[partition].Index;
        if (result.Error != ErrorCode.None)
            _failure ??= $"{_request.TopicData[topic].Name}-{index}: {result.Error}";

        _response.Responses[topic].PartitionResponses[partition] = new ProduceResponse.PartitionProduceResponse
        {
            Index = index,
            ErrorCode = result.Error,
            BaseOffset = result.BaseOffset,
            LogAppendTimeMs = result.LogAppendTimeMs,
            LogStartOffset = result.Error == ErrorCode.None ? logStartOffset : -1,
            ErrorMessage = result.Message,
            RecordErrors = result.RecordErrors is null ? [] : Array.ConvertAll(
                result.RecordErrors,
                static error => new ProduceResponse.BatchIndexAndErrorMessage
                {
                    BatchIndex = error.BatchIndex, BatchIndexErrorMessage = error.Message,
                }),
        };
        CountDown();
    }

    private void CountDown()
    {
        int left = Interlocked.Decrement(ref _left);
        Debug.Assert(left >= 0, "Each part completes once.");
        if (left > 0)
            return;

        if (_request.Acks != 0)
        {
            _done.SetResult(_response);
        }
        else if (_failure is null)
        {
            _done.SetResult(null);
        }
        else
        {
            // A producer with acks=0 notices a failure by losing its connection, and then refreshes its metadata.
            _done.SetException(new ProtocolException($"a produce request with acks=0 failed for {_failure}"));
        }
    }
}
