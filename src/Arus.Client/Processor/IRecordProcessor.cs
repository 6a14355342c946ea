using static Arus.Client.OptionChecks;

namespace Arus.Client;

/// <summary>
/// Runs a handler for every record of a group's topics, many at once. Offsets are committed in the background, and never ahead of
/// finished work: after a crash every record that was not finished comes again (at least once).
/// </summary>
public interface IRecordProcessor : IAsyncDisposable
{
    /// <summary>
    /// Joins the group and processes until cancelled; then handlers that run get <see cref="RecordProcessorOptions.ShutdownTimeout"/>
    /// to finish, what is finished is committed, and the group is left. Call it once.
    /// </summary>
    /// <exception cref="RecordProcessingException">A record failed for good under <see cref="FailureAction.Stop"/>, or could not be written
    /// to its dead-letter topic. Its offset is not committed.</exception>
    /// <exception cref="ArusException">A partition cannot be read, or the group ended the membership.</exception>
    Task RunAsync(CancellationToken cancellationToken);
}

/// <summary>Processes one record. Throwing makes it a failed attempt.</summary>
/// <param name="record">The record; what it refers to stays valid.</param>
/// <param name="cancellationToken">Cancelled when the processor cannot wait any longer.</param>
public delegate ValueTask RecordHandler<TKey, TValue>(ConsumeResult<TKey, TValue> record, CancellationToken cancellationToken);

/// <summary>What is processed one after another.</summary>
public enum ProcessingOrder : byte
{
    /// <summary>Records of one key; those without a key in any order.</summary>
    Key = 0,

    /// <summary>Records of one partition.</summary>
    Partition = 1,

    /// <summary>Nothing.</summary>
    Unordered = 2,
}

/// <summary>What happens to a record whose last attempt failed.</summary>
public enum FailureAction : byte
{
    /// <summary>The processor stops and throws; the record comes again when it is started again.</summary>
    Stop = 0,

    /// <summary>The record is logged and passed over.</summary>
    Skip = 1,

    /// <summary>The record is written to the dead-letter topic, then passed over.</summary>
    DeadLetter = 2,
}

/// <summary>How a processor works.</summary>
public sealed record RecordProcessorOptions
{
    /// <summary>The consumer underneath, with a <see cref="ConsumerOptions.GroupId"/>. It always commits finished work by itself.</summary>
    public required ConsumerOptions Consumer { get; init; }

    /// <summary>What to subscribe to.</summary>
    public required IReadOnlyCollection<string> Topics { get; init; }

    public ProcessingOrder Order { get; init; } = ProcessingOrder.Key;

    /// <summary>Handlers that run at once.</summary>
    public int MaxConcurrency { get; init; } = 16;

    /// <summary>The greatest number of records that are read and not processed; reading pauses at it.</summary>
    public int MaxPending { get; init; } = 1000;

    /// <summary>How often a record is tried, the first time included.</summary>
    public int MaxAttempts { get; init; } = 3;

    /// <summary>The pause before the second attempt; it doubles up to <see cref="RetryBackoffMax"/>. It holds up the key only.</summary>
    public TimeSpan RetryBackoff { get; init; } = TimeSpan.FromMilliseconds(200);

    public TimeSpan RetryBackoffMax { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether a failure may pass; null for always. A record that cannot be deserialized is never tried again.</summary>
    public Func<Exception, bool>? IsRetriable { get; init; }

    public FailureAction OnFailure { get; init; } = FailureAction.Stop;

    /// <summary>
    /// The dead-letter topic of a topic; it must exist. Null for the topic's name with <c>.DLT</c>. Key, value and headers are copied,
    /// and headers <c>arus.dlt.*</c> tell where the record came from and why.
    /// </summary>
    public Func<string, string>? DeadLetterTopic { get; init; }

    /// <summary>How long handlers that run may take to finish at the end.</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <exception cref="ArgumentException">The message names the option.</exception>
    internal void Validate()
    {
        Consumer.Validate();
        Check(Consumer.GroupId is not null, "Consumer.GroupId", "set");
        Check(Topics.Count > 0, nameof(Topics), "at least one");
        Check(MaxConcurrency is > 0 and <= 100_000, nameof(MaxConcurrency), "from 1 to 100,000");
        Check(MaxPending >= MaxConcurrency, nameof(MaxPending), "no less than MaxConcurrency");
        Check(MaxAttempts > 0, nameof(MaxAttempts), "1 or more");
        Check(RetryBackoff >= TimeSpan.Zero && RetryBackoffMax >= RetryBackoff, nameof(RetryBackoffMax), "no less than RetryBackoff");
        Check(ShutdownTimeout >= TimeSpan.Zero, nameof(ShutdownTimeout), "0 or more");
    }
}

/// <summary>A record failed for good; the inner exception is what the handler threw last.</summary>
public sealed class RecordProcessingException(TopicPartition partition, long offset, string message, Exception innerException)
    : Exception(message, innerException)
{
    public TopicPartition Partition { get; } = partition;

    public long Offset { get; } = offset;
}
