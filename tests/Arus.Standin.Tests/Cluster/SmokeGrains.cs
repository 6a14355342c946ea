using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;


namespace Arus.Standin.Tests.Cluster;

[Alias("standin.tests.IEchoGrain")]
public interface IEchoGrain : IGrainWithStringKey
{
    [Alias("Echo")]
    Task<string> EchoAsync(string text);

    [Alias("Where"), AlwaysInterleave]
    ValueTask<string> WhereAsync();

    [Alias("Bytes")]
    Task<byte[]> BytesAsync(byte[] bytes);

    [Alias("Throw")]
    Task ThrowAsync(string message);

    [Alias("CallOther")]
    Task<string> CallOtherAsync(string key, string text);

    [Alias("Subscribe")]
    Task SubscribeAsync(IEchoObserver observer, string text);

    [Alias("Hang"), AlwaysInterleave, ResponseTimeout("00:00:00.3")]
    Task HangAsync();

    [Alias("WaitForever"), AlwaysInterleave]
    Task WaitForeverAsync();

    [Alias("Gated")]
    Task<string> WaitForGateAsync();

    [Alias("Many")]
    Task<int> ManyAsync(int a, int b, int c, int d, int e, int f, int g, int h, int i);
}

public interface IEchoObserver : IGrainObserver
{
    Task OnTextAsync(string text);
}

public sealed class EchoGrain(ILocalSiloDetails silo) : Grain, IEchoGrain
{
    public Task<string> EchoAsync(string text) => Task.FromResult(text);

    public ValueTask<string> WhereAsync() => new(silo.SiloAddress.ToString());

    public Task<byte[]> BytesAsync(byte[] bytes) => Task.FromResult(bytes);

    public Task ThrowAsync(string message) => throw new InvalidOperationException(message);

    public Task<string> CallOtherAsync(string key, string text) => GrainFactory.GetGrain<IEchoGrain>(key).EchoAsync(text);

    public Task SubscribeAsync(IEchoObserver observer, string text) => observer.OnTextAsync(text);

    public Task HangAsync() => new TaskCompletionSource().Task;

    public Task WaitForeverAsync() => new TaskCompletionSource().Task;

    public async Task<string> WaitForGateAsync()
    {
        Gates.Reached.TrySetResult();
        await Gates.Open.Task;
        return silo.SiloAddress.ToString();
    }

    public Task<int> ManyAsync(int a, int b, int c, int d, int e, int f, int g, int h, int i) => Task.FromResult(a + b + c + d + e + f + g + h + i);
}

/// <summary>For the one test that stops a silo in the middle of a call.</summary>
internal static class Gates
{
    public static TaskCompletionSource Reached { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public static TaskCompletionSource Open { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
