namespace Arus.Server;

/// <summary>What <c>--help</c> prints: every key from the table that validates it.</summary>
internal static class ServerHelp
{
    public static string Text() => $"""
        Arus, an event streaming broker that speaks the Apache Kafka protocol.

        usage: Arus.Server [--config FILE] [--KEY=VALUE ...]

        A key may be set in the file (one JSON object), in the environment (log.dir is ARUS_LOG_DIR,
        arus.flush is ARUS_FLUSH), or by a flag; the later wins. The default file is silo-config/single.json.

        {string.Concat(BrokerConfigs.All.Select(Describe))}
        """.ReplaceLineEndings();

    private static string Describe(ConfigDefinition key) =>
        $"  --{key.Name}\n      {key.Documentation}\n      {key.Allowed}{(key.Default is null ? "" : $"; default: {key.Default}")}\n";
}
