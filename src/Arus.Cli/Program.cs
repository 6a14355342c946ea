using Arus.Cli;

return await new Application(new OrleansConnector(), Terminal.Standard()).RunAsync(args);
