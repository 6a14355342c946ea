using Arus.Grains;
using Microsoft.Extensions.Logging;

namespace Arus.Client;

internal sealed class ArusClient(
    IGrainFactory grains, SiloLosses losses, GrainRetry retry, IArusAdmin admin, ArusClientOptions clientOptions, TimeProvider time,
    ILoggerFactory loggers, GroupMembershipFactory groups) : IArusClient
{
    private readonly TopicMetadata _topics = new(grains, retry, time);

    public IArusAdmin Admin => admin;

    public IProducer<TKey, TValue> CreateProducer<TKey, TValue>(
        ProducerOptions? options = null, IRecordSerializer<TKey>? keySerializer = null, IRecordSerializer<TValue>? valueSerializer = null)
    {
        ProducerOptions chosen = options ?? new ProducerOptions { ClientId = clientOptions.ClientId };
        chosen.Validate();
        ProducerCore core = null!;
        core = new ProducerCore(grains, losses, retry, _topics, chosen, time, loggers.CreateLogger("Arus.Client.Producer"))
        {
            Transactions = chosen.TransactionalId is null ? null : new TransactionManager(
                grains, new GrainRetry(clientOptions, losses, time, chosen.MaxBlock), chosen, () => core.FlushAsync()),
        };
        return new Producer<TKey, TValue>(
            core, keySerializer ?? Serializers.Default<TKey>(), valueSerializer ?? Serializers.Default<TValue>());
    }

    public IConsumer<TKey, TValue> CreateConsumer<TKey, TValue>(
        ConsumerOptions? options = null, IRecordSerializer<TKey>? keySerializer = null, IRecordSerializer<TValue>? valueSerializer = null)
    {
        ConsumerOptions chosen = options ?? new ConsumerOptions { ClientId = clientOptions.ClientId };
        chosen.Validate();
        ConsumerCore core = CreateConsumerCore(chosen, "Arus.Client.Consumer");
        return new Consumer<TKey, TValue>(
            core, groups, _topics, keySerializer ?? Serializers.Default<TKey>(), valueSerializer ?? Serializers.Default<TValue>());
    }

    public IRecordProcessor CreateProcessor<TKey, TValue>(
        RecordProcessorOptions options, RecordHandler<TKey, TValue> handler,
        IRecordSerializer<TKey>? keySerializer = null, IRecordSerializer<TValue>? valueSerializer = null)
    {
        options.Validate();
        ConsumerOptions chosen = options.Consumer with { EnableAutoCommit = true };
        ConsumerCore core = CreateConsumerCore(chosen, "Arus.Client.Processor");
        return new RecordProcessor<TKey, TValue>(
            options, core, groups, _topics, handler, keySerializer ?? Serializers.Default<TKey>(),
            valueSerializer ?? Serializers.Default<TValue>(),
            options.OnFailure == FailureAction.DeadLetter
                ? CreateProducer<ReadOnlyMemory<byte>?, ReadOnlyMemory<byte>?>(
                    new ProducerOptions { ClientId = chosen.ClientId, Linger = TimeSpan.Zero })
                : null);
    }

    private ConsumerCore CreateConsumerCore(ConsumerOptions options, string logger) =>
        new(grains, losses, new GrainRetry(clientOptions, losses, time, options.DefaultApiTimeout), options, time,
            loggers.CreateLogger(logger));
}
