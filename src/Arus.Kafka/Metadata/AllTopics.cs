using System.Diagnostics;
using Arus.Grains;
using Arus.Protocol;

namespace Arus.Kafka;

/// <summary>A topic with its description, or with the error of its call.</summary>
internal sealed record TopicRow(TopicListing Listing, TopicDescription? Topic, ErrorCode Error);

/// <summary>
/// All topics of the cluster. However many clients ask, describing them takes at most a tenth of the time: it takes a grain call for
/// each topic. Safe for use by any thread.
/// </summary>
internal sealed class AllTopics(TopicCache topics, RateLimitedFailureLogger failures, TimeProvider time)
{
    /// <summary>How much longer a description of all topics is used than it took.</summary>
    private const int LifePerCost = 10;

    private readonly Lock _lock = new();
    private Task<TopicSnapshot>? _latest;
    private long _changesBefore;

    /// <summary>
    /// The topics as of a moment ago, and not before a change that was made through this broker; callers share what is under way.
    /// </summary>
    /// <exception cref="Exception">What a call to the catalog threw.</exception>
    public Task<TopicSnapshot> GetAsync()
    {
        lock (_lock)
        {
            long changes = topics.Changes;
            if (_latest is null || _changesBefore != changes || !IsUsable(_latest))
            {
                _changesBefore = changes;
                _latest = DescribeAsync();
            }

            return _latest;
        }
    }

    private bool IsUsable(Task<TopicSnapshot> snapshot) =>
        !snapshot.IsCompleted || (snapshot.IsCompletedSuccessfully && time.GetElapsedTime(snapshot.Result.TakenAt) < snapshot.Result.Life);

    private async Task<TopicSnapshot> DescribeAsync()
    {
        long start = time.GetTimestamp();
        TopicRow[] rows = await GrainCalls.MapAsync(await topics.ListAsync(), DescribeAsync);
        TimeSpan life = time.GetElapsedTime(start) * LifePerCost;
        life = life > TopicCache.DataMaxAge ? TopicCache.DataMaxAge : life;
        bool isShort = life < TopicCache.MetadataMaxAge || Array.Exists(rows, row => row.Error != ErrorCode.None);
        return new TopicSnapshot(
            Array.FindAll(rows, row => row.Topic is not null || row.Error != ErrorCode.None), time.GetTimestamp(),
            isShort ? TopicCache.MetadataMaxAge : life);
    }

    /// <summary>One topic whose call fails must not hide all others.</summary>
    private async Task<TopicRow> DescribeAsync(TopicListing listing)
    {
        try
        {
            return new TopicRow(listing, await topics.GetAsync(listing.Name, TopicCache.MetadataMaxAge), ErrorCode.None);
        }
        catch (Exception exception)
        {
            ErrorCode error = failures.MapAndLog(exception, ApiScope.Metadata, "Describe", listing.Name);
            Debug.Assert(error != ErrorCode.None, "A failure is no success.");
            return new TopicRow(listing, null, error);
        }
    }
}

/// <summary>All topics at one moment, and the responses that were encoded of them. Safe for use by any thread.</summary>
/// <param name="Rows">By name. Topics that were deleted while they were described are left out.</param>
/// <param name="TakenAt">On the clock of <see cref="TimeProvider.GetTimestamp"/>.</param>
/// <param name="Life">How long it is used.</param>
internal sealed record TopicSnapshot(TopicRow[] Rows, long TakenAt, TimeSpan Life)
{
    /// <summary>Responses that are kept encoded; clients of one kind ask in the same version.</summary>
    internal const int MaxEncoded = 8;

    private readonly Dictionary<ResponseKind, (ClusterView Cluster, Task<EncodedResponse> Response)> _encoded = [];

    /// <summary>A response that depends on nothing but the topics, its kind and the cluster, which is encoded once.</summary>
    public Task<EncodedResponse> EncodeAsync(ResponseKind kind, ClusterView cluster, Func<IApiMessage> respond)
    {
        lock (_encoded)
        {
            if (_encoded.TryGetValue(kind, out (ClusterView Cluster, Task<EncodedResponse> Response) known)
                && known.Cluster.IsSame(cluster))
            {
                return known.Response;
            }

            if (_encoded.Count >= MaxEncoded)
                _encoded.Clear();

            Task<EncodedResponse> response = Task.Run(() => EncodedResponse.Of(respond(), kind.Version));
            _encoded[kind] = (cluster, response);
            return response;
        }
    }
}

/// <summary>What, besides the topics and the cluster, a response that describes all topics depends on.</summary>
/// <param name="Version">Of the API.</param>
/// <param name="Listener">The listener whose addresses the response has.</param>
internal readonly record struct ResponseKind(short Version, string Listener, bool TopicOperations, bool ClusterOperations);
