using static Arus.Server.MemoryReclaimer;

namespace Arus.Server.Tests;

public sealed class MemoryReclaimerTests
{
    private const long Megabyte = 1024 * 1024;

    private readonly MemoryReclaimer _reclaimer = new(TimeProvider.System);
    private long _allocated;

    [Fact]
    public void A_process_that_has_grown_is_compacted_when_it_is_quiet_and_once_for_each_growth()
    {
        Assert.Equal(Decision.Nothing, Decide(100, 1_000));
        Assert.Equal(Decision.Nothing, Decide(163, 1));
        Assert.Equal(Decision.Nothing, Decide(500, 400));
        Assert.Equal(Decision.CollectAndCompact, Decide(500, 1));

        // The cache is in use now, and stays.
        _reclaimer.Collected(228 * Megabyte);
        Assert.Equal(Decision.Nothing, Decide(240, 1));
        Assert.Equal(Decision.CollectAndCompact, Decide(292, 1));
    }

    [Fact]
    public void A_process_that_is_not_quiet_collects_beside_its_work_now_and_then()
    {
        Assert.Equal(Decision.Nothing, Decide(100, 1_000));
        Decision[] decisions = [.. Enumerable.Range(0, 6).Select(_ => Decide(500, 1_000))];
        Assert.Equal(
            [Decision.Nothing, Decision.Nothing, Decision.CollectBeside, Decision.Nothing, Decision.Nothing, Decision.CollectBeside],
            decisions);
    }

    private Decision Decide(long workingSet, long allocated)
    {
        _allocated += allocated * Megabyte;
        return _reclaimer.Decide(workingSet * Megabyte, _allocated);
    }
}
