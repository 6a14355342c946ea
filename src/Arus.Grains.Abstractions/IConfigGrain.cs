using System.Collections.Frozen;
using Arus.Protocol;
using Orleans.Concurrency;

namespace Arus.Grains;

/// <summary>
/// The dynamic configuration of brokers, groups and client metrics. One grain, key 0. Brokers ask it for changes, so that a change counts
/// everywhere within a second or two.
/// </summary>
[Alias("arus.IConfigGrain")]
public interface IConfigGrain : IGrainWithIntegerKey
{
    /// <summary>Changes the keys of a resource, all or none. The change is durable when the call returns.</summary>
    /// <param name="name">Of the resource; empty for all brokers.</param>
    /// <param name="replace">Whether keys that are not named return to their defaults.</param>
    /// <returns>The configuration after the change.</returns>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.InvalidConfig"/> or <see cref="ErrorCode.InvalidRequest"/> names the key.
    /// </exception>
    [Alias("Alter")]
    Task<DynamicConfigs> AlterAsync(ConfigResourceType type, string name, ConfigChange[] changes, bool replace, bool validateOnly);

    /// <summary>The configuration; null when it is not newer than <paramref name="knownVersion"/>.</summary>
    [Alias("Describe"), AlwaysInterleave]
    Task<DynamicConfigs?> DescribeAsync(long knownVersion);
}

/// <summary>
/// One broker, wherever it is called from: what it tells of configuration, its own and that of the cluster, and its logging levels. The
/// key is the broker's id. Failures of single resources are in the responses.
/// </summary>
[Alias("arus.IBrokerGrain")]
public interface IBrokerGrain : IGrainWithIntegerKey
{
    /// <param name="cancellationToken">Ends the work, with an exception, when nobody waits for the answer any more.</param>
    [Alias("DescribeConfigs"), AlwaysInterleave]
    Task<DescribeConfigsResponse> DescribeConfigsAsync(DescribeConfigsRequest request, CancellationToken cancellationToken = default);

    /// <summary>Replaces the configuration of resources: keys that are not named get their defaults.</summary>
    [Alias("AlterConfigs"), AlwaysInterleave]
    Task<AlterConfigsResponse> AlterConfigsAsync(AlterConfigsRequest request);

    [Alias("IncrementalAlterConfigs"), AlwaysInterleave]
    Task<IncrementalAlterConfigsResponse> IncrementalAlterConfigsAsync(IncrementalAlterConfigsRequest request);

    /// <summary>Lists the resources of the types that are asked for that have configuration.</summary>
    [Alias("ListConfigResources"), AlwaysInterleave]
    Task<ListConfigResourcesResponse> ListConfigResourcesAsync(ListConfigResourcesRequest request);
}

/// <param name="Version">Grows with every change; 0 before the first.</param>
/// <param name="Resources">Those that have any key set.</param>
[GenerateSerializer, Immutable, Alias("arus.DynamicConfigs")]
public sealed record DynamicConfigs(long Version, DynamicConfig[] Resources)
{
    public static DynamicConfigs None { get; } = new(0, []);

    /// <summary>The keys set on a resource.</summary>
    public IReadOnlyDictionary<string, string> Of(ConfigResourceType type, string name) =>
        Array.Find(Resources, resource => resource.Type == type && resource.Name == name)?.Values
        ?? (IReadOnlyDictionary<string, string>)FrozenDictionary<string, string>.Empty;
}

/// <param name="Name">Of the broker, group or subscription; empty for all brokers.</param>
/// <param name="Values">By Kafka's keys, as parsed.</param>
[GenerateSerializer, Immutable, Alias("arus.DynamicConfig")]
public sealed record DynamicConfig(ConfigResourceType Type, string Name, Dictionary<string, string> Values);
