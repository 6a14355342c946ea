using System.Diagnostics;
using System.Globalization;
using Arus.Grains;
using Arus.Testing;

namespace Arus.Server.Tests;

/// <summary>A whole server whose syncs fail, as strace has it: .NET's own ways to flush do not tell.</summary>
public sealed class FailingDiskTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-server-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [StraceFact]
    public async Task A_failed_fsync_is_not_acknowledged_and_the_log_serves_again_when_the_disk_does()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(ServerProcess.Ports.Free(), _directory);
        IGrainFactory grains = await server.ConnectAsync();
        await grains.GetGrain<ITopicGrain>("t").CreateAsync(new TopicSpec(1, -1, null, [], false));
        Assert.Equal(ErrorCode.None, (await AppendAsync(grains)).Error);
        await using (await Strace.FailSyncsAsync(server.ProcessId))
        {
            Assert.Equal(ErrorCode.KafkaStorageError, (await AppendAsync(grains)).Error);
            await Assert.ThrowsAnyAsync<Exception>(
                () => grains.GetGrain<ITopicGrain>("u").CreateAsync(new TopicSpec(1, -1, null, [], false)));
        }

        await Eventually.AsksAsync(
            () => AppendAsync(grains), result => result.Error == ErrorCode.None, _ => false, TimeSpan.FromSeconds(30));
        Assert.Single(server.Output.Split('\n'), line => line.Contains("failed and is closed", StringComparison.Ordinal));
    }

    private static async Task<AppendEntryResult> AppendAsync(IGrainFactory grains) =>
        (await grains.GetGrain<IPartitionGrain>("t/0").AppendAsync(ServerProcessTests.Batch(0))).Results[0];
}

/// <summary>Makes a process's system calls fail.</summary>
internal sealed class Strace : IAsyncDisposable
{
    private readonly Process _process;

    private Strace(Process process) => _process = process;

    /// <summary>Every sync of a process fails with EIO until the answer is disposed.</summary>
    public static async Task<Strace> FailSyncsAsync(int process)
    {
        Process strace = Start(
            "-f", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-o", "/dev/null",
            "-p", process.ToString(CultureInfo.InvariantCulture));
        string? line = await strace.StandardError.ReadLineAsync().WaitAsync(TestTimeout.Value);
        Assert.Contains("attached", line, StringComparison.Ordinal);
        return new Strace(strace);
    }

    /// <summary>Why there is none here; null when there is.</summary>
    public static string? FindProblem()
    {
        try
        {
            using Process strace = Start("-o", "/dev/null", "true");
            strace.WaitForExit();
            return strace.ExitCode == 0 ? null : "strace may not trace here.";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "strace is not installed.";
        }
    }

    public async ValueTask DisposeAsync()
    {
        using (Process kill = Process.Start("kill", ["-INT", _process.Id.ToString(CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();

        await _process.WaitForExitAsync().WaitAsync(TestTimeout.Value);
        _process.Dispose();
    }

    private static Process Start(params string[] arguments) =>
        Process.Start(new ProcessStartInfo("strace", arguments) { RedirectStandardError = true })!;
}

/// <summary>A test that needs strace, which <c>.ci/run</c> installs.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class StraceFactAttribute : FactAttribute
{
    public StraceFactAttribute() => Skip = Strace.FindProblem();
}
