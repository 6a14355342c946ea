using System.Diagnostics;
using Arus.Grains;
using Arus.Testing;

namespace Arus.Server.Tests;

/// <summary>A server whose disk is full: nothing more is taken, what there is can be read, and all is well once there is room.</summary>
public sealed class FullDiskTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-full-").FullName;

    public void Dispose()
    {
        Run("umount", "-l", _directory);
        Directory.Delete(_directory, recursive: true);
    }

    [TmpfsFact]
    public async Task Reads_go_on_after_a_restart_too_and_appends_when_there_is_room()
    {
        Assert.Equal(0, Run("mount", "-t", "tmpfs", "-o", "size=4m", "arus-test", _directory));
        string data = Path.Combine(_directory, "data");
        string filler = Path.Combine(_directory, "filler");
        ServerProcess.Ports ports = ServerProcess.Ports.Free();
        await using (ServerProcess server = await ServerProcess.StartAsync(ports, data))
        {
            IGrainFactory grains = await server.ConnectAsync();
            await grains.GetGrain<ITopicGrain>("t").CreateAsync(new TopicSpec(1, -1, null, [], false));
            Assert.Equal(ErrorCode.None, (await AppendAsync(grains)).Error);
            Fill(filler);
            await Eventually.AsksAsync(
                () => AppendAsync(grains), result => result.Error == ErrorCode.KafkaStorageError, _ => false, TimeSpan.FromSeconds(30));
            await ReadFirstAsync(grains);
            server.Kill();
            await server.WaitForExitAsync();
        }

        Fill(filler);
        await using ServerProcess again = await ServerProcess.StartAsync(ports, data);
        IGrainFactory client = await again.ConnectAsync();
        await ReadFirstAsync(client);
        Assert.Equal(ErrorCode.KafkaStorageError, (await AppendAsync(client)).Error);
        await ReadFirstAsync(client);
        File.Delete(filler);
        await Eventually.AsksAsync(
            () => AppendAsync(client), result => result.Error == ErrorCode.None, _ => false, TimeSpan.FromSeconds(30));
        Assert.DoesNotContain("   at ", again.Output);
    }

    internal static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }

    /// <summary>A partition that moves or was closed is asked again, as clients do.</summary>
    private static Task<PartitionReadResult> ReadFirstAsync(IGrainFactory grains) => Eventually.AsksAsync(
        () => grains.GetGrain<IPartitionGrain>("t/0").FetchAsync(new(0, -1, 1 << 20, true, 0, IsolationLevel.ReadUncommitted)),
        read => read.Error == ErrorCode.None && read.Records.Count > 0, _ => false, TimeSpan.FromSeconds(30));

    private static async Task<AppendEntryResult> AppendAsync(IGrainFactory grains) =>
        (await grains.GetGrain<IPartitionGrain>("t/0").AppendAsync(ServerProcessTests.Batch(0))).Results[0];

    /// <summary>Takes all the room that is left.</summary>
    private static void Fill(string path)
    {
        using var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        byte[] block = new byte[4096];
        try
        {
            for (int i = 0; i < 10_000; i++)
                file.Write(block);
        }
        catch (IOException)
        {
            return; // Full.
        }

        throw new InvalidOperationException("The disk has no bound.");
    }
}

/// <summary>A test that mounts a small file system of its own, which takes root.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class TmpfsFactAttribute : FactAttribute
{
    public TmpfsFactAttribute()
    {
        bool mayMount = false;
        if (OperatingSystem.IsLinux() && Environment.UserName == "root")
        {
            string probe = Directory.CreateTempSubdirectory("arus-probe-").FullName;
            mayMount = FullDiskTests.Run("mount", "-t", "tmpfs", "-o", "size=4m", "arus-probe", probe) == 0;
            FullDiskTests.Run("umount", "-l", probe);
            Directory.Delete(probe);
        }

        Skip = mayMount ? null : "It takes root to mount a file system.";
    }
}
