using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;
using Orleans.TestingHost;

namespace Arus.Benchmarks;

[Alias("arus.benchmarks.ICallGrain")]
public interface ICallGrain : IGrainWithIntegerKey
{
    [Alias("Ping")]
    Task<int> PingAsync(int value);

    [Alias("PingInterleaved"), AlwaysInterleave]
    Task<int> PingInterleavedAsync(int value);

    [Alias("Where")]
    Task<string> WhereAsync();

    [Alias("Put"), AlwaysInterleave]
    Task PutAsync(CallPayload payload);

    [Alias("Get"), AlwaysInterleave]
    Task<CallPayload> GetAsync();

    [Alias("PutCopied")]
    Task PutCopiedAsync(byte[] payload);
}

[GenerateSerializer, Immutable, Alias("arus.benchmarks.CallPayload")]
public sealed record CallPayload(ReadOnlyMemory<byte> Data);

public sealed class CallGrain(ILocalSiloDetails silo) : Grain, ICallGrain
{
    private readonly CallPayload _payload = new(new byte[GrainCallBenchmarks.PayloadSize]);

    public Task<int> PingAsync(int value) => Task.FromResult(value);

    public Task<int> PingInterleavedAsync(int value) => Task.FromResult(value);

    public Task<string> WhereAsync() => Task.FromResult(silo.SiloAddress.ToString());

    public Task PutAsync(CallPayload payload) => Task.CompletedTask;

    public Task<CallPayload> GetAsync() => Task.FromResult(_payload);

    public Task PutCopiedAsync(byte[] payload) => Task.CompletedTask;
}

/// <summary>What grain calls cost, on whichever Orleans the build chose: two silos and a client in one process, over TCP.</summary>
internal static class GrainCallBenchmarks
{
    public const int PayloadSize = 64 * 1024;

    public static async Task RunAsync(string[] args)
    {
        // The first round warms up; the second counts.
        int rounds = args.Length > 0 ? int.Parse(args[0], System.Globalization.CultureInfo.InvariantCulture) : 2;
        await using InProcessTestCluster cluster = new InProcessTestClusterBuilder(2).Build();
        await cluster.DeployAsync();
        await cluster.WaitForLivenessToStabilizeAsync();
        InProcessSiloHandle silo = cluster.Silos[0];
        var factory = silo.ServiceProvider.GetRequiredService<IGrainFactory>();
        ICallGrain? local = null;
        ICallGrain? remote = null;
        for (int key = 0; local is null || remote is null; key++)
        {
            var grain = factory.GetGrain<ICallGrain>(key);
            bool isHere = await grain.WhereAsync() == silo.SiloAddress.ToString();
            (local, remote) = isHere ? (grain, remote) : (local, grain);
        }

        var payload = new CallPayload(new byte[PayloadSize]);
        byte[] bytes = new byte[PayloadSize];
        var client = cluster.Client.GetGrain<ICallGrain>(remote.GetPrimaryKeyLong());
        for (int round = 1; round <= rounds; round++)
        {
            Console.WriteLine($"round {round}");
            await AloneAsync("silo-local call", 200_000, () => local.PingAsync(1));
            await AloneAsync("remote call", 20_000, () => remote.PingAsync(1));
            await AloneAsync("client call", 20_000, () => client.PingAsync(1));
            await TogetherAsync("silo-local calls", 400_000, 64, () => local.PingInterleavedAsync(1), 0);
            await TogetherAsync("remote calls", 300_000, 256, () => remote.PingInterleavedAsync(1), 0);
            await TogetherAsync("remote, 64 KiB in", 20_000, 8, () => remote.PutAsync(payload), PayloadSize);
            await TogetherAsync("remote, 64 KiB out", 20_000, 8, () => remote.GetAsync(), PayloadSize);
            await TogetherAsync("silo-local, 64 KiB copied", 50_000, 1, () => local.PutCopiedAsync(bytes), PayloadSize);
            await TogetherAsync("silo-local, 64 KiB [Immutable]", 200_000, 1, () => local.PutAsync(payload), PayloadSize);
        }
    }

    private static async Task AloneAsync(string name, int count, Func<Task> call)
    {
        long allocated = GC.GetTotalAllocatedBytes();
        long start = Stopwatch.GetTimestamp();
        for (int done = 0; done < count; done++)
        {
            await call();
        }

        double microseconds = Stopwatch.GetElapsedTime(start).TotalMicroseconds / count;
        Console.WriteLine($"  {name,-32} {microseconds,9:F2} us, {(GC.GetTotalAllocatedBytes() - allocated) / count,6} B allocated");
    }

    private static async Task TogetherAsync(string name, int count, int width, Func<Task> call, int bytes)
    {
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, width).Select(_ => Task.Run(async () =>
        {
            for (int done = 0; done < count / width; done++)
            {
                await call();
            }
        })));
        double perSecond = count / Stopwatch.GetElapsedTime(start).TotalSeconds;
        string throughput = bytes == 0 ? "" : $", {perSecond * bytes / (1024 * 1024),8:N0} MiB/s";
        Console.WriteLine($"  {name + $" ({width} at once)",-46} {perSecond,11:N0} calls/s{throughput}");
    }
}
