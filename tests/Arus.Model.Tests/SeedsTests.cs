using Arus.Testing;

namespace Arus.Model.Tests;

public sealed class SeedsTests
{
    [Fact]
    public void A_failure_names_the_seed_that_replays_it()
    {
        var failure = Assert.Throws<SeededTestException>(() => Seeds.Run(5, seed => throw new InvalidOperationException($"broken {seed}")));
        Assert.Contains($"ARUS_SEED={failure.Seed} ", failure.Message, StringComparison.Ordinal);
        Assert.Contains($"broken {failure.Seed}", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Regressions_run_before_seeds_that_are_new_in_every_run()
    {
        if (Seeds.Given is null)
        {
            List<int> first = [.. Seeds.Take(8, 17, 4)];
            Assert.Equal([17, 4], first.Take(2));
            Assert.Equal(10, first.Count);
            Assert.NotEqual(first, Seeds.Take(8, 17, 4));
        }
    }
}
