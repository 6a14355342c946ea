using Arus.Coordination.Tests.Groups;
using Arus.Testing;

namespace Arus.Coordination.Tests.Transactions;

public sealed class TransactionSimulationTests
{
    private const int SeedsToFindAMistake = 300;

    [Fact]
    public void Every_transaction_ends_once_and_everywhere_alike() => WithoutContext(() =>
    {
        int committed = 0;
        Seeds.Run(150, seed =>
        {
            var simulation = new TransactionSimulation(seed);
            simulation.Run();
            committed += simulation.Committed;
        });
        Assert.NotEqual(0, committed);
    });

    [Theory]
    [InlineData(nameof(TransactionFault.MarkerForgotten))]
    [InlineData(nameof(TransactionFault.LateMarkerTaken))]
    [InlineData(nameof(TransactionFault.EpochNotFenced))]
    [InlineData(nameof(TransactionFault.NotOwner))]
    [InlineData(nameof(TransactionFault.NoVerificationGuard))]
    public void A_mistake_is_found(string fault) => WithoutContext(() => Assert.Contains(
        Enumerable.Range(0, SeedsToFindAMistake), seed => Breaks(seed, Enum.Parse<TransactionFault>(fault))));

    private static bool Breaks(int seed, TransactionFault fault)
    {
        try
        {
            new TransactionSimulation(seed, fault).Run();
            return false;
        }
        catch (InvariantBrokenException)
        {
            return true;
        }
    }

    /// <summary>Awaits of the simulation continue inline, in its own order; xunit's context would scatter them over threads.</summary>
    private static void WithoutContext(Action test)
    {
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            test();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }
}
