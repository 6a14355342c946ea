using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Runtime;

namespace Orleans.TestingHost;

/// <summary>A silo of a test cluster.</summary>
public abstract class SiloHandle : IDisposable, IAsyncDisposable
{
    public string Name { get; set; } = "";

    public short InstanceNumber { get; set; }

    public SiloAddress SiloAddress { get; set; } = SiloAddress.Zero;

    public SiloAddress GatewayAddress { get; set; } = SiloAddress.Zero;

    public abstract bool IsActive { get; }

    public abstract Task StopSiloAsync(bool stopGracefully);

    public abstract Task StopSiloAsync(CancellationToken ct);

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    public abstract ValueTask DisposeAsync();

    protected virtual void Dispose(bool disposing)
    {
    }

    public override string ToString() => SiloAddress.ToString();
}

/// <summary>A silo in the test's process.</summary>
public class InProcessSiloHandle : SiloHandle
{
    private bool _active = true;

    public IHost SiloHost { get; init; } = null!;

    public IServiceProvider ServiceProvider => SiloHost.Services;

    public override bool IsActive => _active;

    /// <param name="stopGracefully">False to kill it: its connections break and no grain takes another turn.</param>
    public override async Task StopSiloAsync(bool stopGracefully)
    {
        if (!_active)
        {
            return;
        }

        _active = false;
        if (!stopGracefully)
        {
            ServiceProvider.GetRequiredService<SiloRuntime>().Kill();
        }

        await SiloHost.StopAsync(stopGracefully ? CancellationToken.None : new CancellationToken(canceled: true))
            .ConfigureAwait(stopGracefully ? ConfigureAwaitOptions.None : ConfigureAwaitOptions.SuppressThrowing);
    }

    public override async Task StopSiloAsync(CancellationToken ct)
    {
        if (_active)
        {
            _active = false;
            await SiloHost.StopAsync(ct);
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await StopSiloAsync(stopGracefully: true);
        if (SiloHost is IAsyncDisposable host)
        {
            await host.DisposeAsync();
        }
        else
        {
            SiloHost.Dispose();
        }

        GC.SuppressFinalize(this);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing && _active)
        {
            _active = false;
            ServiceProvider.GetRequiredService<SiloRuntime>().Kill();
            SiloHost.Dispose();
        }
    }
}
