using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>Gives idempotent producers their ids, from a block that this silo has reserved. Transactional ids are refused.</summary>
internal sealed class InitProducerIdHandler(GatewayServices services) : ApiHandler<InitProducerIdRequest>
{
    private const int BlockSize = 1_000;

    private readonly SemaphoreSlim _lock = new(1, 1);
    private long _next;
    private long _end;

    protected override async Task<IApiMessage?> HandleAsync(InitProducerIdRequest request, RequestContext context)
    {
        if (request.TransactionalId is not null)
        {
            return Fail(request.TransactionalId.Length == 0 ? ErrorCode.InvalidRequest : ErrorCode.TransactionalIdAuthorizationFailed);
        }

        try
        {
            return new InitProducerIdResponse { ProducerId = await NextAsync(), ProducerEpoch = 0 };
        }
        catch (Exception exception)
        {
            return Fail(services.Explain(exception, Asked.ProducerIds, "InitProducerId", "a producer"));
        }
    }

    private async Task<long> NextAsync()
    {
        await _lock.WaitAsync();
        try
        {
            if (_next == _end)
            {
                _next = await services.Grains.GetGrain<IProducerIdGrain>(0).AllocateBlockAsync(BlockSize);
                _end = _next + BlockSize;
            }

            return _next++;
        }
        finally
        {
            _lock.Release();
        }
    }

    private static InitProducerIdResponse Fail(ErrorCode error) => new() { ErrorCode = error, ProducerId = -1, ProducerEpoch = -1 };
}
