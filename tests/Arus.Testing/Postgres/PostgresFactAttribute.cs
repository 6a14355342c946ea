using Xunit;

namespace Arus.Testing;

/// <summary>
/// A test that needs PostgreSQL. It is reported as skipped where there is none, unless the environment variable
/// <see cref="RequiredVariable"/> is 1: then it runs, and fails with the reason.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PostgresFactAttribute : FactAttribute
{
    /// <summary>Not named ARUS_…, since servers that tests start refuse variables of that kind that they do not know.</summary>
    public const string RequiredVariable = "REQUIRE_POSTGRES";

    public PostgresFactAttribute() => Skip = SkipReason;

    internal static string? SkipReason { get; } =
        Environment.GetEnvironmentVariable(RequiredVariable) == "1" ? null : PostgresBinaries.Missing;
}

/// <inheritdoc cref="PostgresFactAttribute"/>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PostgresTheoryAttribute : TheoryAttribute
{
    public PostgresTheoryAttribute() => Skip = PostgresFactAttribute.SkipReason;
}
