using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <inheritdoc cref="IConfigGrain"/>
/// <remarks>Reads interleave, so they see <see cref="_durable"/>, which changes only after a write has succeeded.</remarks>
internal sealed class ConfigGrain(
    [PersistentState("configs", StorageNames.Metadata)] IPersistentState<ConfigState> state, LocalBroker broker) : Grain, IConfigGrain
{
    /// <summary>Brokers, groups and subscriptions of client metrics that have keys of their own.</summary>
    private const int MaxResources = 10_000;

    private DynamicConfigs? _durable;

    public async Task<DynamicConfigs> AlterAsync(
        ConfigResourceType type, string name, ConfigChange[] changes, bool replace, bool validateOnly)
    {
        IReadOnlyDictionary<string, string> own = Durable.Of(type, name);
        IReadOnlyDictionary<string, string> before = replace ? DynamicConfigs.None.Of(type, name) : own;
        Dictionary<string, string> after = DynamicConfigChanges.Apply(type, name, before, changes, broker.Config);
        if (validateOnly || (after.Count == own.Count && !after.Except(own).Any()))
            return Durable;

        IEnumerable<DynamicConfig> others = Durable.Resources.Where(resource => resource.Type != type || resource.Name != name);
        DynamicConfig[] resources = after.Count == 0 ? [.. others] : [.. others, new DynamicConfig(type, name, after)];
        if (resources.Length > MaxResources)
        {
            throw new ArusException(
                ErrorCode.PolicyViolation, $"{MaxResources} groups, brokers and subscriptions have keys of their own; delete some first.");
        }

        await WriteAsync(new ConfigState { Version = state.State.Version + 1, Resources = resources });
        return Durable;
    }

    public Task<DynamicConfigs?> DescribeAsync(long knownVersion) =>
        Task.FromResult(Durable.Version > knownVersion ? Durable : null);

    private DynamicConfigs Durable => _durable ??= new DynamicConfigs(state.State.Version, state.State.Resources);

    private async Task WriteAsync(ConfigState next)
    {
        await state.ReplaceAsync(next, this, "The configuration");
        _durable = null;
    }
}

/// <summary>What is durable of the dynamic configuration. Replaced as a whole, never changed in place.</summary>
[GenerateSerializer, Alias("arus.ConfigState")]
internal sealed record ConfigState
{
    /// <summary>Grows with every change.</summary>
    [Id(0)]
    public long Version { get; set; }

    [Id(1)]
    public DynamicConfig[] Resources { get; set; } = [];
}
