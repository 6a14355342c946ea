using Arus.Client;
using Arus.Samples;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Hosting;

// Runs the snippets of README.md against a server on this machine, and fails when one of them does not do what README.md says.
int gatewayPort = args.Length > 0 ? int.Parse(args[0]) : 30_000;

// sample: connect
HostApplicationBuilder builder = Host.CreateApplicationBuilder();
builder.UseOrleansClient(orleans => orleans.UseArusCluster([$"localhost:{gatewayPort}"]).UseArusTransport());
builder.Services.AddArusClient();
using IHost host = builder.Build();
await host.StartAsync();

IArusClient arus = host.Services.GetRequiredService<IArusClient>();
await arus.Admin.CreateTopicAsync(new NewTopic("orders", Partitions: 6));
// end

int passed = 0;
int failed = 0;
foreach ((string name, Func<IArusClient, Task> run) in Samples.All)
{
    try
    {
        await run(arus);
        Console.WriteLine($"ok: {name}");
        passed++;
    }
    catch (Exception failure)
    {
        Console.WriteLine($"FAILED: {name}: {failure}");
        failed++;
    }
}

await host.StopAsync();
Console.WriteLine($"{passed} passed, {failed} failed");
return failed == 0 ? 0 : 1;
