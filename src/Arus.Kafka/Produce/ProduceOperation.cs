using System.Diagnostics;
using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Gathers the results of one Produce request's partitions into its response.</summary>
internal sealed class ProduceOperation(ProduceRequest request, KafkaRequestContext context) : IAppendOwner
{
    private readonly TaskCompletionSource<IApiMessage?> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly ProduceResponse _response = new()
    {
        Responses = Array.ConvertAll(request.TopicData, static topic => new ProduceResponse.TopicProduceResponse
        {
            Name = topic.Name,
            TopicId = topic.TopicId,
            PartitionResponses = new ProduceResponse.PartitionProduceResponse[topic.PartitionData.Length],
        }),
    };

    // One more than the parts in flight until all are added, so that the operation does not complete before.
    private int _left = 1;
    private string? _failure;

    /// <summary>The response, or null for a request that wants none.</summary>
    public Task<IApiMessage?> Response => _done.Task;

    /// <summary>Another part is under way, and <see cref="Complete"/> is to come.</summary>
    public void Add() => Interlocked.Increment(ref _left);

    /// <summary>No part will be added any more.</summary>
    public void Seal() => CountDown();

    public void Complete(AppendPart part, AppendEntryResult result, long logStartOffset, bool memoryInUse)
    {
        if (memoryInUse)
            context.Frame.Abandoned = true;

        ProduceRequest.TopicProduceData topic = request.TopicData[part.Topic];
        int index = topic.PartitionData[part.Partition].Index;
        if (result.Error != ErrorCode.None)
            _failure ??= $"{topic.Name}-{index}: {result.Error}";

        _response.Responses[part.Topic].PartitionResponses[part.Partition] = new ProduceResponse.PartitionProduceResponse
        {
            Index = index,
            ErrorCode = context.Version >= 13 ? result.Error : GrainFailure.ToErrorByName(result.Error),
            BaseOffset = result.BaseOffset,
            LogAppendTimeMs = result.LogAppendTimeMs,
            LogStartOffset = IsJudgedByLog(result.Error) ? logStartOffset : -1,
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

    /// <summary>Whether the log has looked into the batch, or at its producer: such answers carry the log start, as Kafka's do.</summary>
    private static bool IsJudgedByLog(ErrorCode error) =>
        error is ErrorCode.None or ErrorCode.UnknownServerError or ErrorCode.InvalidRecord or ErrorCode.InvalidTimestamp
            or ErrorCode.OutOfOrderSequenceNumber or ErrorCode.InvalidProducerEpoch;

    private void CountDown()
    {
        int left = Interlocked.Decrement(ref _left);
        Debug.Assert(left >= 0, "Each part completes once.");
        if (left > 0)
            return;

        if (request.Acks != 0)
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
