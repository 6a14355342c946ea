using System.Collections;
using System.Data.Common;
using System.Reflection;
using Arus.Grains;
using Arus.Hosting;

namespace Arus.Server;

/// <summary>The server's command line.</summary>
internal static class ServerMain
{
    private const int Success = 0;
    private const int Failed = 1;
    private const int BadConfiguration = 2;

    public static async Task<int> RunAsync(string[] arguments, IDictionary environment, TextWriter output, TextWriter error)
    {
        ServerConfiguration configuration = ServerConfiguration.Load(arguments, environment, DefaultFile());
        if (configuration.HelpRequested)
        {
            await output.WriteAsync(Help());
            return Success;
        }

        if (configuration.VersionRequested)
        {
            await output.WriteLineAsync(Version);
            return Success;
        }

        if (configuration.Faults.Count > 0)
        {
            await error.WriteLineAsync("Arus cannot start as it is configured:");
            foreach (string fault in configuration.Faults)
                await error.WriteLineAsync($"  {fault}");

            return BadConfiguration;
        }

        try
        {
            await ServerHost.RunAsync(configuration.Config, output);
            return Success;
        }
        catch (Exception e) when (Refusal(e) is { } refusal)
        {
            await error.WriteLineAsync($"Arus cannot start: {refusal}");
            return Failed;
        }
    }

    internal static string Version =>
        typeof(ServerMain).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>What <c>--help</c> prints: every key from the table that validates it.</summary>
    private static string Help() => $"""
        Arus, an event streaming broker that speaks the Apache Kafka protocol.

        usage: Arus.Server [--config FILE] [--KEY=VALUE ...]

        A key may be set in the file (one JSON object), in the environment (log.dir is ARUS_LOG_DIR,
        arus.flush is ARUS_FLUSH), or by a flag; the later wins. The default file is silo-config/single.json.

        Kafka's other keys are accepted and have no effect; silo-config/KEYS.md says why.

        {string.Concat(BrokerConfigs.All.Where(key => key.IsHonoured).Select(Describe))}
        """.ReplaceLineEndings();

    private static string Describe(ConfigDefinition key) =>
        $"  --{key.Name}\n      {key.Documentation}\n      {key.Allowed}{(key.Default is null ? "" : $"; default: {key.Default}")}\n";

    /// <summary>The message of a refusal or of an address in use, wherever the host wrapped it; null for anything else.</summary>
    private static string? Refusal(Exception? exception) => exception switch
    {
        null => null,
        StartRefusedException or ArusException or CorruptGrainStateException => exception.Message,
        DbException => $"the database failed: {exception.GetBaseException().Message.ReplaceLineEndings(" ")}",
        ArgumentException { Source: "Arus.Kafka" } => exception.Message,
        IOException { InnerException: Microsoft.AspNetCore.Connections.AddressInUseException } => exception.Message,
        System.Net.Sockets.SocketException { SocketErrorCode: System.Net.Sockets.SocketError.AddressAlreadyInUse } => exception.Message,
        AggregateException many => many.InnerExceptions.Select(Refusal).FirstOrDefault(message => message is not null),
        _ => Refusal(exception.InnerException),
    };

    /// <summary>Beside the program; a checkout's own when run from there, so that an edit takes effect.</summary>
    private static string DefaultFile() => Path.Combine(AppContext.BaseDirectory, "silo-config", "single.json");
}
