using Microsoft.Extensions.DependencyInjection;

namespace Arus.Grains;

/// <summary>What the host does with the partitions of this process.</summary>
public sealed class LocalPartitionsControl
{
    private readonly LocalPartitions _partitions;

    public LocalPartitionsControl(IServiceProvider services) => _partitions = services.GetRequiredService<LocalPartitions>();

    /// <summary>Ends every wait for records, so that a stop need not wait for them. Call it when the host begins to stop.</summary>
    public void Stop() => _partitions.Stop();
}
