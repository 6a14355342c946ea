namespace Arus.Grains;

/// <summary>Asks coordinators about the transactions that are to begin in partitions of this broker. Safe for use by any thread.</summary>
internal sealed class TransactionVerifier(IGrainFactory grains, LocalBroker broker, TimeProvider time)
{
    /// <summary>Of a partition of a topic.</summary>
    public VerifyTransaction For(TopicPartition partition, Guid topicId)
    {
        TransactionPartition[] participants = [new(partition.Topic, partition.Partition, topicId)];
        return (transaction, producerId, producerEpoch) => VerifyAsync(transaction, producerId, producerEpoch, participants);
    }

    private async Task<ErrorCode> VerifyAsync(
        AppendTransaction transaction, long producerId, short producerEpoch, TransactionPartition[] participants)
    {
        TransactionSupport support = transaction.Support;
        if (support != TransactionSupport.Added && !broker.Config.GetBoolean(BrokerConfigs.TransactionPartitionVerificationEnable))
            return ErrorCode.None;

        ITransactionGrain coordinator = grains.GetTransaction(transaction.TransactionalId);
        var patience = TimeSpan.FromMilliseconds(broker.Config.GetInt(BrokerConfigs.AddPartitionsToTxnRetryBackoffMaxMs));
        var backoff = TimeSpan.FromMilliseconds(broker.Config.GetInt(BrokerConfigs.AddPartitionsToTxnRetryBackoffMs));
        long started = time.GetTimestamp();
        while (true)
        {
            ErrorCode error = await AskAsync(coordinator, support, producerId, producerEpoch, participants);

            // The transaction before is being ended, which takes less than the producer would wait before it asks again.
            if (error != ErrorCode.ConcurrentTransactions || support != TransactionSupport.Added
                || time.GetElapsedTime(started) + backoff > patience)
            {
                return ToProduceError(error, support);
            }

            await Task.Delay(backoff, time);
        }
    }

    private static async Task<ErrorCode> AskAsync(
        ITransactionGrain coordinator, TransactionSupport support, long producerId, short producerEpoch,
        TransactionPartition[] participants)
    {
        try
        {
            return support == TransactionSupport.Added
                ? await coordinator.AddPartitionsAsync(producerId, producerEpoch, participants)
                : await coordinator.VerifyPartitionsAsync(producerId, producerEpoch, participants);
        }
        catch (ArusException refusal)
        {
            return refusal.Code;
        }
        catch (Exception e) when (e is TimeoutException or OrleansException || StorageFailure.Is(e))
        {
            return ErrorCode.CoordinatorNotAvailable;
        }
    }

    /// <summary>
    /// What a producer is told. Not the coordinator's passing errors, which producers do not repeat a request after: as in Kafka it is one
    /// after which they do, and which does not make them look for another leader.
    /// </summary>
    private static ErrorCode ToProduceError(ErrorCode error, TransactionSupport support) => error switch
    {
        ErrorCode.ProducerFenced => ErrorCode.InvalidProducerEpoch,
        ErrorCode.TransactionAbortable when support == TransactionSupport.Verified => ErrorCode.InvalidTxnState,
        ErrorCode.ConcurrentTransactions when support == TransactionSupport.Added => error,
        ErrorCode.ConcurrentTransactions or ErrorCode.CoordinatorLoadInProgress or ErrorCode.CoordinatorNotAvailable
            or ErrorCode.NotCoordinator or ErrorCode.RequestTimedOut or ErrorCode.NetworkException => ErrorCode.NotEnoughReplicas,
        _ => error,
    };
}
