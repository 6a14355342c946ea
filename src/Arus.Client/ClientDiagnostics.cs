using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Arus.Client;

/// <summary>
/// Traces and metrics under OpenTelemetry's names for messaging (semantic conventions 1.30, "Messaging" and "Kafka"). Both the
/// activity source and the meter are called <see cref="Name"/>; without a listener they cost next to nothing.
/// </summary>
public static class ClientDiagnostics
{
    /// <summary>What to add to a tracer or meter provider.</summary>
    public const string Name = "Arus.Client";

    internal const string TraceParentHeader = "traceparent";
    private const string TraceStateHeader = "tracestate";
    private const string System = "kafka";

    private static readonly ActivitySource Source = new(Name);
    private static readonly Meter Meter = new(Name);

    private static readonly Counter<long> SentMessages = Meter.CreateCounter<long>(
        "messaging.client.sent.messages", "{message}", "Records that a leader acknowledged.");

    private static readonly Counter<long> ConsumedMessages = Meter.CreateCounter<long>(
        "messaging.client.consumed.messages", "{message}", "Records that were delivered to the application.");

    private static readonly Histogram<double> OperationDuration = Meter.CreateHistogram<double>(
        "messaging.client.operation.duration", "s", "Duration of calls to the cluster.");

    private static readonly Histogram<double> ProcessDuration = Meter.CreateHistogram<double>(
        "messaging.process.duration", "s", "Duration of processing one record.");

    internal static void RecordSent(TopicPartition partition, int count) => Count(SentMessages, partition, "send", count);

    internal static void RecordSend(TopicPartition partition, TimeSpan duration, string? error) =>
        Record(OperationDuration, partition, "send", duration, error);

    internal static void RecordFetch(TopicPartition partition, TimeSpan duration, string? error) =>
        Record(OperationDuration, partition, "poll", duration, error);

    internal static void RecordConsumed(TopicPartition partition, int count) => Count(ConsumedMessages, partition, "poll", count);

    internal static void RecordProcessed(TopicPartition partition, TimeSpan duration, string? error) =>
        Record(ProcessDuration, partition, "process", duration, error);

    /// <summary>Whether the activity source has a listener.</summary>
    internal static bool IsTracing => Source.HasListeners();

    internal static Activity? StartSend(string topic, string clientId) => !Source.HasListeners() ? null
        : Describe(Source.StartActivity($"send {topic}", ActivityKind.Producer), "send", topic)?.SetTag("messaging.client.id", clientId);

    internal static Activity? StartProcess(TopicPartition partition, long offset, string? groupId, RecordHeaders headers)
    {
        if (!Source.HasListeners())
            return null;

        ActivityContext.TryParse(
            headers.FindText(TraceParentHeader), headers.FindText(TraceStateHeader), isRemote: true, out ActivityContext parent);
        Activity? activity = Source.StartActivity($"process {partition.Topic}", ActivityKind.Consumer, parent);
        return Describe(activity, "process", partition.Topic)?
            .SetTag("messaging.destination.partition.id", Text(partition.Partition))
            .SetTag("messaging.kafka.offset", offset)
            .SetTag("messaging.consumer.group.name", groupId);
    }

    /// <summary>Adds the W3C trace context to a record, for the consumer that processes it.</summary>
    internal static ProducerRecord<TKey, TValue> Inject<TKey, TValue>(in ProducerRecord<TKey, TValue> record, Activity? activity)
    {
        if (activity?.Id is not { } id)
            return record;

        List<RecordHeader> headers = [.. record.Headers ?? [], new RecordHeader(TraceParentHeader, Encoding.ASCII.GetBytes(id))];
        if (activity.TraceStateString is { Length: > 0 } state)
            headers.Add(new RecordHeader(TraceStateHeader, Encoding.UTF8.GetBytes(state)));

        return record with { Headers = [.. headers] };
    }

    internal static void SetDelivered(Activity? activity, DeliveryResult result) =>
        activity?.SetTag("messaging.kafka.offset", result.Offset)
            .SetTag("messaging.destination.partition.id", Text(result.Partition.Partition));

    /// <summary>Always false, so that it can stand in an exception filter and leave the exception alone.</summary>
    internal static bool SetFailed(Activity? activity, Exception failure)
    {
        activity?.SetStatus(ActivityStatusCode.Error, failure.Message);
        activity?.SetTag("error.type", failure is ArusException known ? known.Code.ToString() : failure.GetType().Name);
        return false;
    }

    private static Activity? Describe(Activity? activity, string operation, string topic) =>
        activity?.SetTag("messaging.system", System).SetTag("messaging.operation.name", operation)
            .SetTag("messaging.operation.type", operation).SetTag("messaging.destination.name", topic);

    private static void Count(Counter<long> counter, TopicPartition partition, string operation, int count)
    {
        if (counter.Enabled)
            counter.Add(count, Tags(partition, operation, error: null));
    }

    private static void Record(Histogram<double> histogram, TopicPartition partition, string operation, TimeSpan duration, string? error)
    {
        if (histogram.Enabled)
            histogram.Record(duration.TotalSeconds, Tags(partition, operation, error));
    }

    private static string Text(int partition) => partition.ToString(CultureInfo.InvariantCulture);

    private static TagList Tags(TopicPartition partition, string operation, string? error)
    {
        var tags = new TagList
        {
            { "messaging.system", System },
            { "messaging.operation.name", operation },
            { "messaging.destination.name", partition.Topic },
        };
        if (error is not null)
            tags.Add("error.type", error);

        return tags;
    }
}
