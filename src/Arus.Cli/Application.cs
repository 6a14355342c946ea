using System.CommandLine;
using System.CommandLine.Parsing;
using Arus.Cli.Commands;

namespace Arus.Cli;

/// <summary>The command line: parses, connects, runs one command, and turns what went wrong into one line and an exit code.</summary>
internal sealed class Application(IConnector connector, Terminal terminal)
{
    /// <summary>What a command does once there is a connection.</summary>
    public delegate Task<int> Body(IConnection connection, ParseResult arguments, CancellationToken cancellationToken);

    public Terminal Terminal { get; } = terminal;

    public async Task<int> RunAsync(string[] args)
    {
        ParseResult parsed = BuildRoot().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (string message in parsed.Errors.Select(e => e.Message).Distinct())
                Terminal.Error.WriteLine($"arus: {message}");

            Terminal.Error.WriteLine($"arus: '{CommandPath(parsed)} --help' shows how it goes.");
            return ExitCode.Usage;
        }

        // The library's own handling of signals, which a time limit would turn on, now and then answered with the signal's exit code
        // although the command had ended by itself.
        using var signals = new SignalCancellation();
        var invocation = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
        int code = await parsed.InvokeAsync(invocation, signals.Token).ConfigureAwait(false);
        await Terminal.FlushAsync().ConfigureAwait(false);
        return code;
    }

    /// <summary>Gives a command its action.</summary>
    public Command Connected(Command command, Body body)
    {
        command.SetAction((arguments, cancellationToken) => GuardAsync(async () =>
        {
            IConnection connection = await connector.ConnectAsync(
                GlobalOptions.Settings(arguments), cancellationToken).ConfigureAwait(false);
            await using (connection.ConfigureAwait(false))
            {
                return await body(connection, arguments, cancellationToken).ConfigureAwait(false);
            }
        }));
        return command;
    }

    private async Task<int> GuardAsync(Func<Task<int>> run)
    {
        try
        {
            return await run().ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Interrupted;
        }
        catch (UnreachableException failure)
        {
            Terminal.Error.WriteLine($"arus: {failure.Message}");
            return ExitCode.Unreachable;
        }
        catch (ArusException refusal)
        {
            Terminal.Error.WriteLine($"arus: {refusal.Message} [{refusal.Code}]");
            return ExitCode.Failure;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or TimeoutException or FormatException)
        {
            Terminal.Error.WriteLine($"arus: {failure.Message}");
            return ExitCode.Failure;
        }
    }

    private RootCommand BuildRoot()
    {
        var root = new RootCommand("Talks to an Arus cluster.")
        {
            TopicCommands.Build(this),
            ProduceCommand.Build(this),
            ConsumeCommand.Build(this),
            ClusterCommand.Build(this),
            GroupCommands.Build(this),
            BenchCommands.Build(this),
        };
        foreach (Option option in GlobalOptions.All)
            root.Options.Add(option);

        return root;
    }

    private static string CommandPath(ParseResult parsed)
    {
        var names = new List<string>();
        for (SymbolResult? at = parsed.CommandResult; at is CommandResult command; at = at.Parent)
            names.Insert(0, command.Command is RootCommand ? "arus" : command.Command.Name);

        return string.Join(' ', names);
    }
}
