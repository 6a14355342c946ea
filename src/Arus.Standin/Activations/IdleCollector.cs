using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace Orleans.Runtime;

/// <summary>Deactivates what has been idle for too long, a round each quantum.</summary>
internal sealed partial class IdleCollector(SiloRuntime silo, GrainCollectionOptions options) : IDisposable
{
    private ITimer? _timer;

    public void Start() => _timer = silo.Time.CreateTimer(
        static state => ((IdleCollector)state!).Collect(null), this, options.CollectionQuantum, options.CollectionQuantum);

    /// <param name="age">Idle time that counts; null for what options and attributes say.</param>
    public void Collect(TimeSpan? age)
    {
        int collected = 0;
        foreach (Activation activation in silo.Catalog.All)
        {
            if (activation.Class.IsKeptAlive)
            {
                continue;
            }

            TimeSpan limit = age ?? AgeOf(activation.Class);
            if (limit != Timeout.InfiniteTimeSpan && activation.TryCollect(limit))
            {
                collected++;
            }
        }

        if (collected > 0)
        {
            LogCollected(silo.Logger, collected);
        }
    }

    public void Dispose() => _timer?.Dispose();

    private TimeSpan AgeOf(GrainClass grainClass) =>
        options.ClassSpecificCollectionAge.TryGetValue(grainClass.Type.FullName!, out TimeSpan age) ? age : grainClass.AgeLimit ?? options.CollectionAge;

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Count} idle activations are being deactivated.")]
    private static partial void LogCollected(ILogger logger, int count);
}
