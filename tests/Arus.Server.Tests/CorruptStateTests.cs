namespace Arus.Server.Tests;

public sealed class CorruptStateTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-corrupt-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task A_start_that_needs_a_damaged_state_says_so_and_has_exit_code_1()
    {
        ServerProcess.Ports ports = ServerProcess.Ports.Free();
        await using (ServerProcess server = await ServerProcess.StartAsync(ports, _directory))
        {
            server.Terminate();
            Assert.Equal(0, await server.WaitForExitAsync());
        }

        string state = Assert.Single(Directory.GetFiles(_directory, "cluster~*.state", SearchOption.AllDirectories));
        byte[] bytes = await File.ReadAllBytesAsync(state);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(state, bytes);
        (int code, string output) = await ServerProcess.RunAsync(ports, _directory);
        Assert.Equal(1, code);
        string line = Assert.Single(output.TrimEnd().Split('\n'));
        Assert.StartsWith("Arus cannot start: ", line, StringComparison.Ordinal);
        Assert.Contains(state, line, StringComparison.Ordinal);
    }
}
