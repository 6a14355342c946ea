using System.CommandLine;
using System.Data.Common;
using Arus.Hosting;
using Arus.Hosting.Database;
using Npgsql;

namespace Arus.Cli.Commands;

/// <summary><c>arus db …</c>: a cluster's database, without a cluster that runs.</summary>
internal static class DatabaseCommands
{
    /// <summary>Not a flag: command lines are seen by every user of a machine, and it has a password.</summary>
    private const string Variable = "ARUS_DATABASE";

    public static Command Build(Terminal terminal)
    {
        var init = new Command("init", $"Create or update the tables that brokers need, in the database that {Variable} names.");
        init.SetAction((_, cancellationToken) => RunAsync(terminal, InitAsync, cancellationToken));
        return new Command("db", "Prepare the database of a cluster.") { init, BuildImport(terminal), BuildForgetLeaders(terminal) };
    }

    private static Command BuildForgetLeaders(Terminal terminal)
    {
        var forget = new Command(
            "forget-leaders",
            $"Prepare the database that {Variable} names after it was restored from a backup, before brokers start: whom it takes for " +
            "leaders and in sync may have been overtaken. `arus cluster restore-metadata` elects leaders then.");
        forget.SetAction((_, cancellationToken) => RunAsync(
            terminal,
            async (source, where, cancellation) =>
                $"{await RestoredDatabase.ForgetLeadersAsync(source, cancellation)} partitions in the database at {where} have no leader " +
                "now. Start all brokers, then run `arus cluster restore-metadata`.",
            cancellationToken));
        return forget;
    }

    private static Command BuildImport(Terminal terminal)
    {
        var directory = new Argument<string>("directory") { Description = "log.dir of a broker without a database, which is stopped." };
        var clusterId = new Option<string>("--orleans-cluster-id")
        {
            Description = "orleans.cluster.id of the cluster's brokers.",
            DefaultValueFactory = _ => BrokerConfig.Default.GetString(BrokerConfigs.OrleansClusterId)!,
        };
        var serviceId = new Option<string>("--orleans-service-id")
        {
            Description = "orleans.service.id of the cluster's brokers.",
            DefaultValueFactory = _ => BrokerConfig.Default.GetString(BrokerConfigs.OrleansServiceId)!,
        };
        var import = new Command(
            "import",
            $"Make a broker without a database the first of a cluster: its topics and groups go to the empty database that {Variable} " +
            "names; its records stay where they are.")
        {
            directory, clusterId, serviceId,
        };
        import.SetAction((arguments, cancellationToken) => RunAsync(
            terminal,
            (source, where, cancellation) => ImportAsync(
                terminal, arguments.GetRequiredValue(directory), source, where,
                (arguments.GetRequiredValue(clusterId), arguments.GetRequiredValue(serviceId)), cancellation),
            cancellationToken));
        return import;
    }

    private static async Task<string> InitAsync(NpgsqlDataSource source, string where, CancellationToken cancellationToken)
    {
        int before = await DatabaseSchema.CreateAsync(source, cancellationToken);
        return before == DatabaseSchema.Version
            ? $"The database at {where} has version {before} of the schema already."
            : $"The database at {where} has got version {DatabaseSchema.Version} of the schema.";
    }

    private static async Task<string> ImportAsync(
        Terminal terminal, string path, NpgsqlDataSource source, string where, (string Cluster, string Service) ids,
        CancellationToken cancellationToken)
    {
        using DataDirectory directory = DataDirectory.OpenForImport(path);
        var import = new DirectoryImport(
            directory, source, ids.Cluster, ids.Service, line => terminal.Error.WriteLine($"arus: {line}"));
        ImportResult result = await WaitBar.ShowAsync(
            terminal, "partitions", progress => import.RunAsync(progress, cancellationToken));
        string start = $"Start it with {Variable} set, and others beside it.";
        return result.WasThere
            ? $"Broker {result.BrokerId} of cluster {result.ClusterId} is in the database at {where} already. {start}"
            : $"{result.Topics} topics with {result.Partitions} partitions of cluster {result.ClusterId} are in the database at {where} " +
              $"now; broker {result.BrokerId} keeps their records. {start}";
    }

    /// <param name="run">Given the database, and where it is; answers what to say.</param>
    private static async Task<int> RunAsync(
        Terminal terminal, Func<NpgsqlDataSource, string, CancellationToken, Task<string>> run, CancellationToken cancellationToken)
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } connection)
        {
            terminal.Error.WriteLine($"arus: {Variable} is not set; it holds the connection string of the database, as for brokers.");
            return ExitCode.Usage;
        }

        try
        {
            string where = DatabaseSource.Describe(connection);
            await using NpgsqlDataSource source = DatabaseSource.Create(connection, "arus-cli");
            terminal.WriteLine(await run(source, where, cancellationToken));
            return ExitCode.Success;
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Interrupted;
        }
        catch (StartRefusedException refusal)
        {
            terminal.Error.WriteLine($"arus: {refusal.Message}");
            return ExitCode.Failure;
        }
        catch (DbException failure)
        {
            terminal.Error.WriteLine($"arus: {failure.GetBaseException().Message.ReplaceLineEndings(" ")}");
            return failure.IsTransient ? ExitCode.Unreachable : ExitCode.Failure;
        }
    }
}
