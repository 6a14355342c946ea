using System.Text;

namespace Arus.Server;

/// <summary>What <c>--help</c> prints: every key from the table that validates it.</summary>
internal static class ServerHelp
{
    public static string Text()
    {
        var text = new StringBuilder();
        text.AppendLine("Arus, an event streaming broker that speaks the Apache Kafka protocol.");
        text.AppendLine();
        text.AppendLine("usage: Arus.Server [--config FILE] [--KEY=VALUE ...]");
        text.AppendLine();
        text.AppendLine("A key may be set in the file (one JSON object), in the environment (log.dir is ARUS_LOG_DIR,");
        text.AppendLine("arus.flush is ARUS_FLUSH), or by a flag; the later wins. The default file is silo-config/single.json.");
        text.AppendLine();
        foreach (ConfigDefinition key in BrokerConfigs.All)
        {
            text.AppendLine($"  --{key.Name}");
            text.AppendLine($"      {key.Documentation}");
            text.AppendLine($"      {key.Allowed}{(key.Default is null ? "" : $"; default: {key.Default}")}");
        }

        return text.ToString();
    }
}
