using System.Globalization;

namespace Arus.Testing;

/// <summary>
/// Seeds of randomized tests: fresh ones in every run, so that a run can find what the last one did not. A failure names its seed,
/// and <c>ARUS_SEED=n</c> replays that one alone. A seed that once failed stays in the test as a regression.
/// </summary>
public static class Seeds
{
    /// <summary>The one replay variable of all randomized tests.</summary>
    public const string Variable = "ARUS_SEED";

    /// <summary>What <see cref="Variable"/> is set to; null in an ordinary run.</summary>
    public static string? Given { get; } = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } text ? text : null;

    /// <summary>The seeds of one run: the given one alone, or the regressions and then <paramref name="fresh"/> new ones.</summary>
    public static IEnumerable<int> Take(int fresh, params int[] regressions) =>
        int.TryParse(Given, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int given)
            ? [given]
            : regressions.Concat(Enumerable.Range(0, fresh).Select(_ => Random.Shared.Next()));

    /// <summary>Runs a test under each seed of <see cref="Take"/>.</summary>
    /// <exception cref="SeededTestException">The test failed; the message names the seed.</exception>
    public static void Run(int fresh, Action<int> test, params int[] regressions)
    {
        foreach (int seed in Take(fresh, regressions))
        {
            try
            {
                test(seed);
            }
            catch (Exception e)
            {
                throw new SeededTestException(seed.ToString(CultureInfo.InvariantCulture), e);
            }
        }
    }

    /// <inheritdoc cref="Run"/>
    public static async Task RunAsync(int fresh, Func<int, Task> test, params int[] regressions)
    {
        foreach (int seed in Take(fresh, regressions))
        {
            try
            {
                await test(seed);
            }
            catch (Exception e)
            {
                throw new SeededTestException(seed.ToString(CultureInfo.InvariantCulture), e);
            }
        }
    }
}

/// <summary>A randomized test failed under one seed, which the message names together with the failure.</summary>
public sealed class SeededTestException(string seed, Exception failure)
    : Exception($"Seed {seed} ({Seeds.Variable}={seed} replays it): {failure.Message}", failure)
{
    public string Seed { get; } = seed;
}
