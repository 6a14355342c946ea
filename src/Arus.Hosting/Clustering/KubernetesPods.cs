using Arus.Grains;
using Orleans.Hosting;
using Orleans.Hosting.Kubernetes;

namespace Arus.Hosting.Clustering;

/// <summary>
/// Lets Orleans compare the cluster's membership with the pods of Kubernetes (<c>orleans.kubernetes</c>): a silo without a pod is declared
/// dead without waiting for probes to fail. It takes a silo and a pod of one name for the same, so a broker's pod has its silo's name.
/// </summary>
internal static class KubernetesPods
{
    private static readonly string[] Variables =
    [
        KubernetesHostingOptions.PodNameEnvironmentVariable, KubernetesHostingOptions.PodNamespaceEnvironmentVariable,
        KubernetesHostingOptions.PodIPEnvironmentVariable,
    ];

    /// <exception cref="StartRefusedException">The process is not told what its pod is, or the pod has another name.</exception>
    public static ISiloBuilder Watch(ISiloBuilder silo, BrokerConfig config)
    {
        if (Variables.FirstOrDefault(name => string.IsNullOrEmpty(Environment.GetEnvironmentVariable(name))) is { } missing)
        {
            throw new StartRefusedException(
                $"{BrokerConfigs.OrleansKubernetes}=true needs the environment variable {missing}, "
                + "as docker/kubernetes/broker.yaml sets it.");
        }

        string siloName = BrokerNames.SiloName(config.GetInt(BrokerConfigs.BrokerId));
        string podName = Environment.GetEnvironmentVariable(KubernetesHostingOptions.PodNameEnvironmentVariable)!;
        if (podName != siloName)
        {
            throw new StartRefusedException(
                $"{BrokerConfigs.OrleansKubernetes}=true needs the pod of this broker to be named {siloName}, not {podName}: name the "
                + $"StatefulSet 'broker', begin its ordinals with 1, and make {BrokerConfigs.BrokerId} the pod's index.");
        }

        return silo.UseKubernetesHosting();
    }
}
