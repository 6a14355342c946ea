using Arus.Grains;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Arus.Kafka;

/// <summary>What connections and handlers share in one silo.</summary>
internal sealed partial record GatewayServices(
    IGrainFactory Grains, ILocalBroker Broker, GatewayOptions Options, TimeProvider Time, GatewayMetrics Metrics, RequestMemory Memory,
    TopicCache Topics, ClusterCache Cluster, PartitionGrains Partitions, AppendScheduler Appends, FailureLog Failures,
    ILogger<KafkaConnection> Logger)
{
    /// <summary>The error that a client gets for a failed grain call, which is logged as its kind deserves.</summary>
    public ErrorCode Explain(Exception exception, Asked asked, string operation, object subject)
    {
        ErrorCode error = GrainFailure.ToErrorCode(exception, asked);
        Failures.Add(exception, error, operation, subject);
        return error;
    }

    /// <summary>
    /// For what failed where the response has no place for an error and an empty one would be a lie: ends the connection, after which the
    /// client asks again.
    /// </summary>
    public ConnectionAbortedException NoAnswer(Exception exception, string operation, object subject) =>
        new($"{operation} of {subject} got {Explain(exception, Asked.Metadata, operation, subject)}, which its response cannot tell");
}
