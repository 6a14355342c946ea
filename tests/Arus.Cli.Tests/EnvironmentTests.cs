namespace Arus.Cli.Tests;

/// <summary>The environment belongs to the whole process, so no other test runs beside these.</summary>
[CollectionDefinition(nameof(EnvironmentTests), DisableParallelization = true)]
[Collection(nameof(EnvironmentTests))]
public sealed class EnvironmentTests
{
    [Fact]
    public async Task A_malformed_gateway_in_the_environment_is_told_and_not_ignored()
    {
        Environment.SetEnvironmentVariable("ARUS_CLI_GATEWAY", "broker:port");
        try
        {
            var (code, _, error) = await new FakeCluster().RunAsync("topic", "list");
            Assert.Equal(ExitCode.Usage, code);
            Assert.Contains("'broker:port' is not host:port", error);
        }
        finally
        {
            Environment.SetEnvironmentVariable("ARUS_CLI_GATEWAY", null);
        }
    }
}
