using System.Globalization;
using Arus.Testing;
using CsCheck;

namespace Arus.Model.Tests;

/// <summary>Randomized tests find new cases in every run, and a failure can be replayed.</summary>
public sealed class SeedsTests
{
    [Fact]
    public void A_failure_names_the_seed_that_replays_it()
    {
        var failure = Assert.Throws<SeededTestException>(() => Seeds.Run(5, seed => throw new InvalidOperationException($"broken {seed}")));
        Assert.Contains($"ARUS_SEED={failure.Seed} ", failure.Message, StringComparison.Ordinal);
        Assert.Contains($"broken {failure.Seed}", failure.Message, StringComparison.Ordinal);
        Assert.True(int.TryParse(failure.Seed, CultureInfo.InvariantCulture, out _));
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

    [Fact]
    public void A_property_that_fails_names_the_seed_that_replays_it()
    {
        if (Seeds.Given is null)
        {
            Gen<int> generator = Gen.Int[0, 1_000];
            Action<int> property = number => Assert.True(number < 500);
            var failure = Assert.Throws<SeededTestException>(() => generator.Holds(property));
            Assert.Contains($"ARUS_SEED={failure.Seed} ", failure.Message, StringComparison.Ordinal);
            var replayed = Assert.Throws<SeededTestException>(() => generator.Holds(property, cases: 0, failure.Seed));
            Assert.Equal(failure.Seed, replayed.Seed);
        }
    }
}
