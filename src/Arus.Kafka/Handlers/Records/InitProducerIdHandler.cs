using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// Gives idempotent producers their ids, from a block that this silo has reserved; those with a transactional id get theirs from its
/// coordinator.
/// </summary>
internal sealed class InitProducerIdHandler(IGrainFactory grains)
    : ApiHandler<InitProducerIdRequest>(ApiScope.ProducerIds, subject: "a producer")
{
    private const int BlockSize = 1_000;
    private const short FencedSince = 4;

    private readonly SemaphoreSlim _lock = new(1, 1);
    private long _next;
    private long _end;

    protected override async Task<IApiMessage?> HandleAsync(InitProducerIdRequest request, KafkaRequestContext context) =>
        request.TransactionalId is "" || request.ProducerId == -1 != (request.ProducerEpoch == -1)
            ? Fail(request, ErrorCode.InvalidRequest, "")
            : request.TransactionalId is { } transactionalId ? await InitializeAsync(transactionalId, request, context.Version)
            : new InitProducerIdResponse { ProducerId = await NextAsync(), ProducerEpoch = 0 };

    protected override IApiMessage Fail(InitProducerIdRequest request, ErrorCode error, string message) =>
        new InitProducerIdResponse { ErrorCode = error, ProducerId = -1, ProducerEpoch = -1 };

    private async Task<InitProducerIdResponse> InitializeAsync(string transactionalId, InitProducerIdRequest request, short version)
    {
        InitProducerIdResponse response = await grains.GetTransaction(transactionalId).InitProducerIdAsync(request);
        return response.ErrorCode == ErrorCode.None
            ? response
            : new() { ErrorCode = response.ErrorCode.ForVersion(version, FencedSince), ProducerId = -1, ProducerEpoch = -1 };
    }

    private async Task<long> NextAsync()
    {
        await _lock.WaitAsync();
        try
        {
            if (_next == _end)
            {
                _next = await grains.GetGrain<IProducerIdGrain>(0).AllocateBlockAsync(BlockSize);
                _end = _next + BlockSize;
            }

            return _next++;
        }
        finally
        {
            _lock.Release();
        }
    }
}
