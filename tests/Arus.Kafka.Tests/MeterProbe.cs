using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;

namespace Arus.Kafka.Tests;

/// <summary>Listens to one instrument of one Kafka listener: an event for what is otherwise not seen from outside.</summary>
internal static class MeterProbe
{
    /// <param name="heard">Called from any thread.</param>
    public static MeterListener Listen(IServiceProvider services, string instrument, Action<long> heard)
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (published, self) =>
            {
                if (published.Name == instrument && published.Meter.Scope == services.GetRequiredService<IMeterFactory>())
                {
                    self.EnableMeasurementEvents(published);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => heard(value));
        listener.Start();
        return listener;
    }
}
