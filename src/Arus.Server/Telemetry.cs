using System.Collections;
using Arus.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Arus.Server;

/// <summary>OpenTelemetry in the server program: metrics for Prometheus to scrape, and metrics, traces and logs to a collector.</summary>
internal static class Telemetry
{
    private const string VariablePrefix = "OTEL_";
    private const string CollectorVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";
    private const string SamplerVariable = "OTEL_TRACES_SAMPLER";

    /// <summary>Every request of a Kafka client begins a trace unless its client has, so few are kept when nothing else is said.</summary>
    private const string DefaultSampler = "parentbased_traceidratio";
    private const string DefaultSamplerArgument = "0.01";

    private static readonly string[] CollectorVariables =
        [CollectorVariable, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

    private static readonly string[] RuntimeMeters = ["Microsoft.Orleans", "System.Runtime", "Microsoft.AspNetCore.Server.Kestrel"];
    private static readonly string[] RuntimeSources = ["Microsoft.Orleans.Application"];

    /// <summary>
    /// Adds what the configuration asks for. The variables of OpenTelemetry's specification have effect beside <c>arus.otlp.endpoint</c>,
    /// which stands for one of them.
    /// </summary>
    /// <returns>Whether traces are exported.</returns>
    public static bool Add(IHostApplicationBuilder builder, BrokerConfig config)
    {
        ReadVariables(builder.Configuration, config);
        bool toCollector = CollectorVariables.Any(name => !string.IsNullOrEmpty(builder.Configuration[name]));
        bool toPrometheus = config.GetString(BrokerConfigs.HttpEndpoint) != BrokerConfigs.HttpEndpointNone;
        if (!toCollector && !toPrometheus)
            return false;

        OpenTelemetryBuilder telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource
                .AddService(
                    "arus", config.GetString(BrokerConfigs.OrleansClusterId), ServerMain.Version, false,
                    config.GetString(BrokerConfigs.BrokerId))
                .AddEnvironmentVariableDetector())
            .WithMetrics(metrics => AddMetrics(metrics, config, toPrometheus));
        if (toCollector)
            telemetry.WithTracing(traces => traces.AddSource([.. ArusTelemetry.ActivitySources, .. RuntimeSources])).UseOtlpExporter();

        return toCollector;
    }

    private static void AddMetrics(MeterProviderBuilder metrics, BrokerConfig config, bool toPrometheus)
    {
        metrics.AddMeter([.. ArusTelemetry.Meters, .. RuntimeMeters]);

        // One more than there are series: at its limit OpenTelemetry keeps one for what it leaves out.
        metrics.AddView(
            ArusTelemetry.GroupLag.Name,
            new MetricStreamConfiguration { CardinalityLimit = config.GetInt(BrokerConfigs.GroupLagMaxPartitions) + 1 });
        if (toPrometheus)
            metrics.AddPrometheusExporter(exporter => exporter.ScopeInfoEnabled = false);
    }

    private static void ReadVariables(IConfigurationManager configuration, BrokerConfig config)
    {
        configuration[SamplerVariable] = DefaultSampler;
        configuration[$"{SamplerVariable}_ARG"] = DefaultSamplerArgument;
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            if (variable.Key is string name && name.StartsWith(VariablePrefix, StringComparison.Ordinal))
                configuration[name] = (string?)variable.Value;
        }

        if (config.GetString(BrokerConfigs.OtlpEndpoint) is { } endpoint)
            configuration[CollectorVariable] = endpoint;
    }
}
