using Arus.Grains;
using Microsoft.Extensions.Logging;
using Orleans;

namespace Arus.Gateway;

/// <summary>What connections and handlers share in one silo.</summary>
internal sealed partial record GatewayServices(
    IGrainFactory Grains, ILocalBroker Broker, GatewayOptions Options, TimeProvider Time, GatewayMetrics Metrics, RequestMemory Memory,
    TopicCache Topics, ClusterCache Cluster, PartitionGrains Partitions, AppendScheduler Appends, ILogger<KafkaConnection> Logger)
{
    /// <summary>The error that a client gets for a failed grain call. What no client can mend is logged; the rest is told by the code.</summary>
    public ErrorCode Explain(Exception exception, string operation, object subject)
    {
        ErrorCode error = GrainFailure.ToErrorCode(exception);
        if (error == ErrorCode.UnknownServerError)
        {
            GatewayLog.Failure(Logger, operation, subject, exception);
        }
        else
        {
            GatewayLog.Retriable(Logger, operation, subject, error, exception.Message);
        }

        return error;
    }

    /// <summary>The same for a call to a group's coordinator.</summary>
    public ErrorCode ExplainGroup(Exception exception, string operation, string groupId)
    {
        Explain(exception, operation, groupId);
        return GrainFailure.ToGroupErrorCode(exception);
    }
}

internal static partial class GatewayLog
{
    [LoggerMessage(Level = LogLevel.Error, Message = "{Operation} of {Subject} failed")]
    public static partial void Failure(ILogger logger, string operation, object subject, Exception exception);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Operation} of {Subject} failed with {Error}: {Reason}")]
    public static partial void Retriable(ILogger logger, string operation, object subject, ErrorCode error, string reason);
}
