using Arus.Testing;

namespace Arus.Cli.Tests;

/// <summary>One class, so that its tests have the variable one after the other.</summary>
public sealed class DatabaseCommandTests : IDisposable
{
    private const string Variable = "ARUS_DATABASE";

    [PostgresFact]
    public async Task Init_prepares_a_database_once()
    {
        PostgresServer server = await PostgresServer.SharedAsync();
        Environment.SetEnvironmentVariable(Variable, await server.CreateDatabaseAsync());
        (int code, string output, string error) = await new FakeCluster().RunAsync("db", "init");
        Assert.Equal((ExitCode.Success, ""), (code, error));
        Assert.Matches($@"^The database at 127\.0\.0\.1:{server.Port}/test_\d+ has got version 2 of the schema\.\n$", output);
        (code, output, _) = await new FakeCluster().RunAsync("db", "init");
        Assert.Equal(ExitCode.Success, code);
        Assert.Contains("has version 2 of the schema already", output);
    }

    [Theory]
    [InlineData(null, ExitCode.Usage, "ARUS_DATABASE is not set")]
    [InlineData("Host=127.0.0.1;Pasword=hidden", ExitCode.Failure, "arus.database is not a connection string of PostgreSQL")]
    [InlineData("Host=127.0.0.1;Port=1;Username=u;Password=hidden", ExitCode.Unreachable, "refused")]
    public async Task Init_says_what_is_wrong_and_nothing_secret(string? connection, int expected, string words)
    {
        Environment.SetEnvironmentVariable(Variable, connection);
        (int code, string output, string error) = await new FakeCluster().RunAsync("db", "init");
        Assert.Equal(expected, code);
        Assert.Contains(words, error);
        Assert.DoesNotContain("hidden", error + output);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    public void Dispose() => Environment.SetEnvironmentVariable(Variable, null);
}
