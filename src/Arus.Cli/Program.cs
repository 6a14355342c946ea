using Arus.Cli;

// Ctrl+C is handled by the command line library, which cancels the running command.
return await new Application(new OrleansConnector(), Terminal.Standard()).RunAsync(args).ConfigureAwait(false);
