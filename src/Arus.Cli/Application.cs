using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using Arus.Cli.Commands;
using Arus.Client;

namespace Arus.Cli;

/// <summary>The command line: parses, connects, runs one command, and turns what went wrong into one line and an exit code.</summary>
internal sealed class Application(IConnector connector, Terminal terminal)
{
    public async Task<int> RunAsync(string[] args)
    {
        ParseResult parsed = BuildRoot().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (string message in parsed.Errors.Select(e => e.Message).Distinct())
                terminal.Error.WriteLine($"arus: {message}");

            terminal.Error.WriteLine($"arus: '{CommandPath(parsed)} --help' shows how it goes.");
            return ExitCode.Usage;
        }

        // The first Ctrl+C or SIGTERM cancels, so that a command commits and leaves its group; the second ends the process at once.
        // The source is not disposed: a signal may be on its way to it, and it holds nothing.
        var stopping = new CancellationTokenSource();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);

        // The library's own handling of signals, which a time limit would turn on, now and then answered with the signal's exit code
        // although the command had ended by itself.
        var invocation = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
        int code = await parsed.InvokeAsync(invocation, stopping.Token);
        await terminal.FlushAsync();
        return code;

        void Stop(PosixSignalContext context)
        {
            context.Cancel = !stopping.IsCancellationRequested;
            stopping.Cancel();
        }
    }

    /// <summary>Gives a command what it does once there is a connection.</summary>
    public Command Connected(Command command, Func<CommandRun, Task> body)
    {
        command.SetAction(async (arguments, cancellationToken) =>
        {
            try
            {
                await using IConnection connection = await connector.ConnectAsync(GlobalOptions.Settings(arguments), cancellationToken);
                await body(new CommandRun(connection.Client, arguments, terminal, cancellationToken));
                return ExitCode.Success;
            }
            catch (OperationCanceledException)
            {
                return ExitCode.Interrupted;
            }
            catch (Exception failure) when (failure is UnreachableException or ArusException
                or IOException or UnauthorizedAccessException or TimeoutException or FormatException)
            {
                terminal.Error.WriteLine($"arus: {failure.Message}{(failure is ArusException refusal ? $" [{refusal.Code}]" : "")}");
                return failure is UnreachableException ? ExitCode.Unreachable : ExitCode.Failure;
            }
        });
        return command;
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
            ConfigCommands.Build(this),
            BenchCommands.Build(this),
            DatabaseCommands.Build(terminal),
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
