using System.Globalization;

namespace Arus.Coordination.Tests.Groups;

public sealed class GroupSimulationTests
{
    private const int Seeds = 200;

    /// <summary>A failure names its seed; ARUS_SEED=n replays that one alone.</summary>
    [Fact]
    public void A_group_keeps_its_promises_under_trouble_and_settles_after_it()
    {
        string? replay = Environment.GetEnvironmentVariable("ARUS_SEED");
        int first = replay is null ? 0 : int.Parse(replay, CultureInfo.InvariantCulture);
        int count = replay is null ? Seeds : 1;

        // Awaits of the simulation continue inline, in its own order; xunit's context would scatter them over threads.
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            for (int seed = first; seed < first + count; seed++)
            {
                new GroupSimulation(seed).Run();
            }
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }
}
