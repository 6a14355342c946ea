using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>
/// How a request stands to the others of its connection. Responses go out in the order of the requests in any case; this says what may
/// happen at the same time.
/// </summary>
internal enum RequestOrdering
{
    /// <summary>Reads only: begins at once, and nobody waits for it.</summary>
    Concurrent,

    /// <summary>Takes its place in a queue in the order of the requests (<see cref="ApiHandler.StartAsync"/>), then goes on by itself.</summary>
    Pipelined,

    /// <summary>Begins when all earlier requests that change something are done; later requests begin when it is done.</summary>
    Exclusive,
}

/// <summary>Serves one API. Handlers are shared by all connections and keep no state of a request.</summary>
internal abstract class ApiHandler
{
    public abstract ApiDescriptor Api { get; }

    /// <summary>The least version that is served.</summary>
    public virtual short MinVersion => Api.MinVersion;

    /// <summary>The greatest version that is served.</summary>
    public virtual short MaxVersion => Api.MaxVersion;

    /// <summary>The least version that ApiVersions names; lower than the served one where clients draw wrong conclusions otherwise.</summary>
    public virtual short AdvertisedMinVersion => MinVersion;

    public virtual RequestOrdering Ordering => RequestOrdering.Exclusive;

    /// <summary>
    /// Begins a request. The outer task ends when later requests may begin; the inner one has the response, or null when there is to be
    /// none.
    /// </summary>
    /// <exception cref="ProtocolException">The request cannot be read; thrown before any effect.</exception>
    public abstract ValueTask<Task<IApiMessage?>> StartAsync(RequestContext context);

    public bool Serves(short version) => version >= MinVersion && version <= MaxVersion;
}

/// <inheritdoc/>
/// <typeparam name="TRequest">The type of the request.</typeparam>
internal abstract class ApiHandler<TRequest> : ApiHandler
    where TRequest : IApiMessage<TRequest>
{
    public sealed override ApiDescriptor Api => TRequest.Descriptor;

    public override ValueTask<Task<IApiMessage?>> StartAsync(RequestContext context) => new(HandleAsync(context.Read<TRequest>(), context));

    /// <summary>Handles a request. What fails is in the response; an exception ends the connection.</summary>
    protected abstract Task<IApiMessage?> HandleAsync(TRequest request, RequestContext context);
}
