using Arus.Testing;

namespace Arus.Coordination.Tests.Groups;

public sealed class GroupSimulationTests
{
    [Fact]
    public void A_group_keeps_its_promises_under_trouble_and_settles_after_it()
    {
        // Awaits of the simulation continue inline, in its own order; xunit's context would scatter them over threads.
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            Seeds.Run(200, seed => new GroupSimulation(seed).Run());
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }
}
