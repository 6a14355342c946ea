using Arus.Grains;
using Arus.Protocol;
using PartitionResult = Arus.Protocol.AlterReplicaLogDirsResponse.AlterReplicaLogDirPartitionResult;
using TopicResult = Arus.Protocol.AlterReplicaLogDirsResponse.AlterReplicaLogDirTopicResult;

namespace Arus.Kafka;

/// <summary>
/// Moves replicas between the directories of a broker (KIP-113). A broker has one, so that a replica is where it can be: any other
/// directory is not found.
/// </summary>
internal sealed class AlterReplicaLogDirsHandler(LocalBroker broker)
    : ApiHandler<AlterReplicaLogDirsRequest>(ApiScope.Partition, "directories")
{
    protected override Task<IApiMessage?> HandleAsync(AlterReplicaLogDirsRequest request, KafkaRequestContext context)
    {
        string own = Path.GetFullPath(broker.Config.GetString(BrokerConfigs.LogDir) ?? ".");
        return Task.FromResult<IApiMessage?>(new AlterReplicaLogDirsResponse
        {
            Results =
            [
                .. request.Dirs.SelectMany(directory => directory.Topics.Select(topic => new TopicResult
                {
                    TopicName = topic.Name,
                    Partitions = Array.ConvertAll(topic.Partitions, partition => new PartitionResult
                    {
                        PartitionIndex = partition,
                        ErrorCode = directory.Path == own ? ErrorCode.None : ErrorCode.LogDirNotFound,
                    }),
                })),
            ],
        });
    }
}
