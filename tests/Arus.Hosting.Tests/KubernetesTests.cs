using System.Runtime.CompilerServices;
using Arus.Grains;
using Arus.Hosting.Clustering;
using k8s;
using k8s.Models;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Hosting;
using Orleans.Hosting.Kubernetes;

namespace Arus.Hosting.Tests;

/// <summary>Brokers as pods of Kubernetes, whose API is this test's own.</summary>
public sealed class KubernetesTests
{
    private static readonly string Manifests = Path.GetFullPath(Path.Combine(ThisFolder(), "..", "..", "docker", "kubernetes"));

    public static TheoryData<string> ManifestFiles => [.. Directory.GetFiles(Manifests, "*.yaml").Select(path => Path.GetFileName(path))];

    [Theory]
    [MemberData(nameof(ManifestFiles))]
    public void A_manifest_has_no_field_that_Kubernetes_does_not_know(string file) =>
        Assert.NotEmpty(KubernetesYaml.LoadAllFromString(File.ReadAllText(Path.Combine(Manifests, file)), strict: true));

    [Fact]
    public void The_pods_of_the_manifest_are_what_Arus_and_Orleans_expect()
    {
        List<object> manifests = KubernetesYaml.LoadAllFromString(File.ReadAllText(Path.Combine(Manifests, "broker.yaml")), strict: true);
        V1StatefulSet set = Assert.Single(manifests.OfType<V1StatefulSet>());
        Assert.Equal(BrokerNames.SiloName(1), $"{set.Metadata.Name}-{set.Spec.Ordinals.Start}");
        Assert.Contains(manifests.OfType<V1Service>(), service => service.Metadata.Name == set.Spec.ServiceName);

        V1PodTemplateSpec pod = set.Spec.Template;
        Assert.False(pod.Spec.EnableServiceLinks);
        V1Container container = Assert.Single(pod.Spec.Containers);
        Dictionary<string, string> variables = container.Env.ToDictionary(variable => variable.Name, variable => variable.Value);
        Assert.Subset(
            variables.Keys.ToHashSet(),
            new HashSet<string>(
            [
                KubernetesHostingOptions.PodNameEnvironmentVariable, KubernetesHostingOptions.PodNamespaceEnvironmentVariable,
                KubernetesHostingOptions.PodIPEnvironmentVariable,
            ]));
        HashSet<string> keys = [.. BrokerConfigs.All.Select(key => VariableOf(key.Name))];
        Assert.All(variables.Keys.Where(name => name.StartsWith("ARUS_", StringComparison.Ordinal)), name => Assert.Contains(name, keys));
        Assert.Equal("true", variables[VariableOf(BrokerConfigs.OrleansKubernetes)]);
        Assert.Equal(DefaultOf(BrokerConfigs.OrleansClusterId), pod.Metadata.Labels["orleans/clusterId"]);
        Assert.Equal(DefaultOf(BrokerConfigs.OrleansServiceId), pod.Metadata.Labels["orleans/serviceId"]);
    }

    [Fact]
    public async Task A_broker_asks_Kubernetes_which_pods_there_are()
    {
        var asked = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using WebApplication kubernetes = await StartKubernetesAsync(asked);
        string address = kubernetes.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        Environment.SetEnvironmentVariable(KubernetesHostingOptions.PodNamespaceEnvironmentVariable, "here");
        Environment.SetEnvironmentVariable(KubernetesHostingOptions.PodIPEnvironmentVariable, "127.0.0.1");
        Environment.SetEnvironmentVariable(KubernetesHostingOptions.PodNameEnvironmentVariable, BrokerNames.SiloName(1));
        using var application = new Application();
        using IHost host = application.Build(before: silo => KubernetesPods
            .Watch(silo, Config())
            .Configure<KubernetesHostingOptions>(options => options.GetClientConfiguration = () => new() { Host = address }));
        await host.StartAsync();
        Assert.Contains("orleans%2fclusterId", await asked.Task.WaitAsync(TimeSpan.FromSeconds(30)), StringComparison.OrdinalIgnoreCase);
        await host.StopAsync();
    }

    [Fact]
    public void A_pod_of_another_name_is_refused()
    {
        Environment.SetEnvironmentVariable(KubernetesHostingOptions.PodNamespaceEnvironmentVariable, "here");
        Environment.SetEnvironmentVariable(KubernetesHostingOptions.PodIPEnvironmentVariable, "127.0.0.1");
        Environment.SetEnvironmentVariable(KubernetesHostingOptions.PodNameEnvironmentVariable, "arus-0");
        using var application = new Application();
        var refused = Assert.Throws<StartRefusedException>(() => application.Build(before: silo => KubernetesPods.Watch(silo, Config())));
        Assert.Contains("named broker-1, not arus-0", refused.Message, StringComparison.Ordinal);

        Environment.SetEnvironmentVariable(KubernetesHostingOptions.PodNameEnvironmentVariable, null);
        refused = Assert.Throws<StartRefusedException>(() => application.Build(before: silo => KubernetesPods.Watch(silo, Config())));
        Assert.Contains("POD_NAME", refused.Message, StringComparison.Ordinal);
    }

    private static string? DefaultOf(string key) => BrokerConfigs.All.Single(definition => definition.Name == key).Default;

    private static string VariableOf(string key) => $"ARUS_{(key.StartsWith("arus.", StringComparison.Ordinal) ? key[5..] : key)}"
        .Replace('.', '_').ToUpperInvariant();

    private static BrokerConfig Config() => new ArusOptions { ["broker.id"] = "1" }.Build();

    private static string ThisFolder([CallerFilePath] string source = "") => Path.GetDirectoryName(source)!;

    private static async Task<WebApplication> StartKubernetesAsync(TaskCompletionSource<string> asked)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        WebApplication app = builder.Build();
        var pod = new V1Pod
        {
            ApiVersion = "v1", Kind = "Pod",
            Metadata = new V1ObjectMeta
            {
                Name = BrokerNames.SiloName(1), NamespaceProperty = "here",
                Labels = new Dictionary<string, string> { ["orleans/serviceId"] = "arus", ["orleans/clusterId"] = "arus" },
            },
        };
        app.Run(async context =>
        {
            if (context.Request.Path.Value!.EndsWith("/pods", StringComparison.Ordinal))
            {
                asked.TrySetResult(context.Request.QueryString.ToString());
                await context.Response.WriteAsJsonAsync(new V1PodList
                {
                    ApiVersion = "v1", Kind = "PodList", Metadata = new V1ListMeta { ResourceVersion = "1" }, Items = [pod],
                });
            }
            else
            {
                await context.Response.WriteAsJsonAsync(pod);
            }
        });
        await app.StartAsync();
        return app;
    }
}
