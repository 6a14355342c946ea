using System.Runtime.InteropServices;
using Arus.Chaos;

// One run at a time: the namespaces have fixed names.
const string LockFile = "/tmp/arus-chaos.lock";

if (args is ["--help" or "-h" or "help"])
{
    Console.WriteLine(Options.Help);
    return 0;
}

using var stop = new CancellationTokenSource();
void Cancel(PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}

using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cancel);
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cancel);
try
{
    Options options = Options.Parse(args);
    using FileStream onlyOne = Exclusive();
    return options.Command switch
    {
        "run" => await new ChaosRun(options).RunAsync(stop.Token),
        "failover" => await new FailoverRun(options).RunAsync(stop.Token),
        "restarts" => await new RestartsRun(options).RunAsync(stop.Token),
        "scale" => await new ScaleRun(options).RunAsync(stop.Token),
        "throughput" => await new ThroughputRun(options).RunAsync(stop.Token),
        _ => throw new ChaosException($"Unknown command {options.Command}.\n{Options.Help}"),
    };
}
catch (ChaosException e)
{
    Console.Error.WriteLine(e.Message);
    return 2;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    Console.Error.WriteLine("Interrupted.");
    return 2;
}
catch (Exception e)
{
    Console.Error.WriteLine($"The run itself failed: {e}");
    return 2;
}

static FileStream Exclusive()
{
    try
    {
        return new FileStream(LockFile, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
    }
    catch (IOException e)
    {
        throw new ChaosException($"Another run of Arus.Chaos holds {LockFile}; wait for its end.", e);
    }
}
