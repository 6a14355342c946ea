using System.CommandLine;
using System.Data.Common;
using Arus.Hosting;
using Arus.Hosting.Database;
using Npgsql;

namespace Arus.Cli.Commands;

/// <summary><c>arus db …</c>: a cluster's database, without a cluster.</summary>
internal static class DatabaseCommands
{
    /// <summary>Not a flag: command lines are seen by every user of a machine, and it has a password.</summary>
    private const string Variable = "ARUS_DATABASE";

    public static Command Build(Terminal terminal)
    {
        var init = new Command("init", $"Create or update the tables that brokers need, in the database that {Variable} names.");
        init.SetAction((_, cancellationToken) => RunAsync(terminal, cancellationToken));
        return new Command("db", "Prepare the database of a cluster.") { init };
    }

    private static async Task<int> RunAsync(Terminal terminal, CancellationToken cancellationToken)
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
            int before = await DatabaseSchema.CreateAsync(source, cancellationToken);
            terminal.WriteLine(before == DatabaseSchema.Version
                ? $"The database at {where} has version {before} of the schema already."
                : $"The database at {where} has got version {DatabaseSchema.Version} of the schema.");
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
