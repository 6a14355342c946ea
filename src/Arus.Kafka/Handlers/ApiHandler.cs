using Arus.Protocol;
using Microsoft.AspNetCore.Connections;

namespace Arus.Kafka;

/// <summary>
/// Serves one API, and says what it needs of a connection. Handlers are shared by all connections and keep no state of a request.
/// </summary>
/// <param name="scope">Selects the error codes of failed grain calls.</param>
internal abstract class ApiHandler(ApiDescriptor api, ApiScope scope)
{
    public ApiDescriptor Api { get; } = api;

    public ApiScope Scope { get; } = scope;

    /// <summary>The least version that is served.</summary>
    public virtual short MinVersion => Api.MinVersion;

    /// <summary>
    /// The least version that ApiVersions names; lower than the served one where clients draw wrong conclusions otherwise.
    /// </summary>
    public virtual short AdvertisedMinVersion => MinVersion;

    /// <summary>Whether the handler keeps no part of a request, so that large ones are read into pooled memory.</summary>
    public virtual bool UsesPooledRequests => false;

    /// <summary>
    /// How many elements the arrays of one request have in all. More than any client needs: it bounds the work and the memory that a
    /// request makes, since an element takes far less on the wire.
    /// </summary>
    public virtual int MaxElements => 100_000;

    /// <summary>
    /// Whether the next request of the connection may begin before this one is answered, if it is of such a kind, too: then requests take
    /// their places in queues in their order (<see cref="StartAsync"/>) and proceed side by side. All others are handled one after the
    /// other, each when those before it are answered, so that a client finds its requests carried out in their order.
    /// </summary>
    public virtual bool IsPipelined => false;

    /// <summary>
    /// Begins a request. The outer task ends when later requests may begin; the inner one has the response, or null when there is to be
    /// none.
    /// </summary>
    /// <exception cref="ProtocolException">The request cannot be read; thrown before any effect.</exception>
    public abstract ValueTask<Task<IApiMessage?>> StartAsync(KafkaRequestContext context);

    /// <summary>
    /// The bytes in memory that a response refers to, such as those of record batches. A response with many is written block by block, as
    /// the client takes it.
    /// </summary>
    public virtual long ReferencedBytesOf(IApiMessage response) => 0;

    /// <summary>The response, in version 0, to a version that is not served; null to close the connection.</summary>
    public virtual IApiMessage? AnswerUnservedVersion() => null;

    public bool Serves(short version) => version >= MinVersion && version <= Api.MaxVersion;
}

/// <inheritdoc/>
/// <typeparam name="TRequest">The type of the request.</typeparam>
/// <param name="subject">What requests are about, for the log.</param>
internal abstract class ApiHandler<TRequest>(ApiScope scope, string subject = "a request") : ApiHandler(TRequest.Descriptor, scope)
    where TRequest : IApiMessage<TRequest>
{
    public sealed override ValueTask<Task<IApiMessage?>> StartAsync(KafkaRequestContext context) =>
        new(RunAsync(context.Read<TRequest>(), context));

    /// <summary>Handles a request; null for no response. An exception becomes the response of <see cref="Fail"/>.</summary>
    protected abstract Task<IApiMessage?> HandleAsync(TRequest request, KafkaRequestContext context);

    /// <summary>
    /// The response to a request that failed as a whole; null where the response has no place for an error and an empty one would be a lie.
    /// Then the connection is closed, after which the client repeats the request.
    /// </summary>
    protected virtual IApiMessage? Fail(TRequest request, ErrorCode error, string message) => null;

    protected virtual string SubjectOf(TRequest request) => subject;

    private async Task<IApiMessage?> RunAsync(TRequest request, KafkaRequestContext context)
    {
        try
        {
            return await HandleAsync(request, context);
        }
        catch (OperationCanceledException exception)
            when (context.Gone.IsCancellationRequested || exception.CancellationToken == context.Closed)
        {
            return null;
        }
        catch (Exception exception)
        {
            ErrorCode error = context.MapAndLog(exception, SubjectOf(request));
            return Fail(request, error, exception.Message) ?? throw new ConnectionAbortedException(
                $"{Api.Key} of {SubjectOf(request)} failed with {error}, which its response cannot tell");
        }
    }
}
