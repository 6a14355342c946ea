using Arus.Protocol;
using Orleans.Runtime;
using Described = Arus.Protocol.DescribeConfigsResponse.DescribeConfigsResourceResult;

namespace Arus.Grains;

/// <inheritdoc cref="IBrokerGrain"/>
[BrokerPlacement]
internal sealed class BrokerGrain(LocalBroker broker, LoggerLevels loggers, IGrainFactory grains) : Grain, IBrokerGrain
{
    /// <summary>How long the grain of a broker that is not alive stays on another one.</summary>
    private static readonly TimeSpan TimeAway = TimeSpan.FromSeconds(5);

    private const int MaxDescribedKeys = 500_000;

    private readonly ConfigDescriptions _descriptions = new(broker, loggers, grains);

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (this.GetPrimaryKeyLong() != broker.BrokerId)
        {
            // The broker is not alive, so that the placement had no choice. It answers so for a while: what deactivates at once has its
            // calls forwarded to the next activation, and that one is here, too.
            this.RegisterGrainTimer(
                () =>
                {
                    DeactivateOnIdle();
                    return Task.CompletedTask;
                },
                TimeAway, Timeout.InfiniteTimeSpan);
        }

        return Task.CompletedTask;
    }

    public async Task<DescribeConfigsResponse> DescribeConfigsAsync(DescribeConfigsRequest request, CancellationToken cancellationToken)
    {
        var results = new List<DescribeConfigsResponse.DescribeConfigsResult>();
        int room = MaxDescribedKeys;
        foreach (DescribeConfigsRequest.DescribeConfigsResource resource in request.Resources)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Described[] configs = [];
            (ErrorCode error, string? message) = room > 0
                ? await TryAsync(async () => configs = await _descriptions.DescribeAsync(resource, request))
                : (ErrorCode.InvalidRequest, $"A response holds {MaxDescribedKeys} keys at most; ask for fewer resources or keys.");
            room -= configs.Length;
            results.Add(new()
            {
                ResourceType = resource.ResourceType, ResourceName = resource.ResourceName, Configs = configs, ErrorCode = error,
                ErrorMessage = message ?? "",
            });
        }

        return new DescribeConfigsResponse { Results = [.. results] };
    }

    public async Task<AlterConfigsResponse> AlterConfigsAsync(AlterConfigsRequest request)
    {
        var results = new List<AlterConfigsResponse.AlterConfigsResourceResponse>();
        HashSet<(sbyte, string)> twice = NamedTwice(request.Resources.Select(named => (named.ResourceType, named.ResourceName)));
        foreach (AlterConfigsRequest.AlterConfigsResource resource in request.Resources)
        {
            (sbyte type, string name) = (resource.ResourceType, resource.ResourceName);
            (ErrorCode error, string? message) = await TryAsync(() => twice.Contains((type, name)) ? throw Twice() : AlterAsync(
                type, name,
                Array.ConvertAll(resource.Configs, config => new ConfigChange(config.Name, ConfigOperation.Set, config.Value)),
                replace: true, request.ValidateOnly));
            results.Add(new() { ResourceType = type, ResourceName = name, ErrorCode = error, ErrorMessage = message });
        }

        return new AlterConfigsResponse { Responses = [.. results] };
    }

    public async Task<IncrementalAlterConfigsResponse> IncrementalAlterConfigsAsync(IncrementalAlterConfigsRequest request)
    {
        var results = new List<IncrementalAlterConfigsResponse.AlterConfigsResourceResponse>();
        HashSet<(sbyte, string)> twice = NamedTwice(request.Resources.Select(named => (named.ResourceType, named.ResourceName)));
        foreach (IncrementalAlterConfigsRequest.AlterConfigsResource resource in request.Resources)
        {
            (sbyte type, string name) = (resource.ResourceType, resource.ResourceName);
            (ErrorCode error, string? message) = await TryAsync(() => twice.Contains((type, name)) ? throw Twice() : AlterAsync(
                type, name, ToChanges(resource), replace: false, request.ValidateOnly));
            results.Add(new() { ResourceType = type, ResourceName = name, ErrorCode = error, ErrorMessage = message });
        }

        return new IncrementalAlterConfigsResponse { Responses = [.. results] };
    }

    public Task<ListConfigResourcesResponse> ListConfigResourcesAsync(ListConfigResourcesRequest request) =>
        _descriptions.ListAsync(request);

    private static HashSet<(sbyte Type, string Name)> NamedTwice(IEnumerable<(sbyte Type, string Name)> resources) =>
        [.. resources.CountBy(resource => resource).Where(count => count.Value > 1).Select(count => count.Key)];

    private static ArusException Twice() => new(ErrorCode.InvalidRequest, "Each resource may be named once in a request.");

    private async Task AlterAsync(sbyte resourceType, string name, ConfigChange[] changes, bool replace, bool validateOnly)
    {
        var type = (ConfigResourceType)resourceType;
        switch (type)
        {
            case ConfigResourceType.Topic:
                await AlterTopicAsync(name, changes, replace, validateOnly);
                break;
            case ConfigResourceType.BrokerLogger when replace:
                throw new ArusException(ErrorCode.InvalidRequest, "Levels are changed one by one (IncrementalAlterConfigs).");
            case ConfigResourceType.BrokerLogger:
                _descriptions.RequireThisBroker(name);
                loggers.Alter(changes, validateOnly);
                break;
            case ConfigResourceType.Broker or ConfigResourceType.Group or ConfigResourceType.ClientMetrics:
                if (type == ConfigResourceType.Broker && name.Length > 0)
                    _descriptions.RequireThisBroker(name);
                else if (type != ConfigResourceType.Broker)
                    ConfigDescriptions.RequireName(type, name);

                broker.Reconfigure(await grains.GetGrain<IConfigGrain>(0).AlterAsync(type, name, changes, replace, validateOnly));
                break;
            default:
                throw ConfigDescriptions.UnknownType(resourceType);
        }
    }

    private async Task AlterTopicAsync(string name, ConfigChange[] changes, bool replace, bool validateOnly)
    {
        ConfigDescriptions.RequireName(ConfigResourceType.Topic, name);
        ConfigChanges.CheckKeys(changes);
        Array.ForEach(changes, change => ConfigChanges.CheckList(change, TopicConfigs.Find(change.Key))); // In Kafka before the name.
        if (TopicName.Validate(name) is { IsOk: false } refusal)
            throw new ArusException(refusal.Error, refusal.Message!);

        ITopicGrain topic = grains.GetGrain<ITopicGrain>(name);
        if (replace && await topic.DescribeAsync() is { } known)
        {
            IEnumerable<string> reset = known.Configs.Keys.Except(changes.Select(change => change.Key));
            changes = [.. changes, .. reset.Select(key => new ConfigChange(key, ConfigOperation.Delete, null))];
        }

        await topic.AlterConfigsAsync(changes, validateOnly);
    }

    private static ConfigChange[] ToChanges(IncrementalAlterConfigsRequest.AlterConfigsResource resource)
    {
        ConfigChanges.CheckNames(resource.Configs.Select(config => config.Name)); // In Kafka before the operations.
        return Array.ConvertAll(resource.Configs, config => ToChange(config, resource.ResourceType));
    }

    /// <remarks>Kafka answers an unknown operation on a topic or a group with UNKNOWN_SERVER_ERROR.</remarks>
    private static ConfigChange ToChange(IncrementalAlterConfigsRequest.AlterableConfig config, sbyte type)
    {
        var operation = (ConfigOperation)config.ConfigOperation;
        return Enum.IsDefined(operation)
            ? new ConfigChange(config.Name, operation, operation == ConfigOperation.Delete ? null : config.Value)
            : throw new ArusException(
                type is (sbyte)ConfigResourceType.Broker or (sbyte)ConfigResourceType.BrokerLogger
                    ? ErrorCode.InvalidRequest : ErrorCode.UnknownServerError,
                $"{config.Name}: there is no configuration operation {config.ConfigOperation}.");
    }

    /// <summary>What went wrong with one resource, whose failure is its own and not that of the others.</summary>
    private static async Task<(ErrorCode Error, string? Message)> TryAsync(Func<Task> handle)
    {
        try
        {
            await handle();
            return (ErrorCode.None, null);
        }
        catch (ArusException refusal)
        {
            return (refusal.Code, refusal.Message);
        }
        catch (Exception failure) when (failure is TimeoutException or OrleansException || StorageFailure.Is(failure))
        {
            return (ErrorCode.RequestTimedOut, failure.Message);
        }
    }
}
