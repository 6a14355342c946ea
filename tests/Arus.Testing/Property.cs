using System.Text.RegularExpressions;
using CsCheck;

namespace Arus.Testing;

/// <summary>Properties of generated cases. A case that fails is shrunk, and printed with the seed that replays it.</summary>
public static partial class Property
{
    /// <summary>
    /// Checks a property, which throws for a case that lacks it, on fresh cases in every run. When <c>ARUS_SEED</c> is the seed that a
    /// failure named, it is checked on that case alone.
    /// </summary>
    /// <param name="cases">How many cases are generated.</param>
    /// <param name="regressions">Seeds of cases that once failed; they are checked first.</param>
    /// <exception cref="SeededTestException">The property failed; the message has the smallest case that was found.</exception>
    public static void Holds<T>(this Gen<T> generator, Action<T> property, int cases = 1_000, params string[] regressions)
    {
        try
        {
            // Seeds of this form are the generators'; others belong to the tests that take a number.
            foreach (string seed in SeedPattern().IsMatch(Seeds.Given ?? "") ? [Seeds.Given!] : regressions)
                generator.Sample(property, seed: seed, iter: 1, threads: 1);

            if (!SeedPattern().IsMatch(Seeds.Given ?? ""))
                generator.Sample(property, iter: cases, threads: 1);
        }
        catch (CsCheckException e)
        {
            throw new SeededTestException(SeedInMessage().Match(e.Message).Groups[1].Value, e);
        }
    }

    [GeneratedRegex("^[0-9a-zA-Z_-]{12,}$")]
    private static partial Regex SeedPattern();

    [GeneratedRegex("seed: \"(.+?)\"")]
    private static partial Regex SeedInMessage();
}
