using Arus.Server;

return await ServerMain.RunAsync(args, Environment.GetEnvironmentVariables(), Console.Out, Console.Error);
