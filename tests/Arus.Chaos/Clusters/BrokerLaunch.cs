namespace Arus.Chaos;

/// <summary>How one kind of broker is started: the only place that knows its command line.</summary>
internal abstract class BrokerLaunch
{
    /// <summary>As reports name it.</summary>
    public abstract string Name { get; }

    /// <summary>The exit codes with which a broker may end by itself, when it finds that the cluster took it for dead.</summary>
    public abstract IReadOnlyList<int> ExitCodesOfTheEvicted { get; }

    /// <summary>Whether Orleans clients connect, too.</summary>
    public abstract bool HasGateway { get; }

    public abstract bool NeedsDatabase { get; }

    /// <summary>Once for a new cluster, before its brokers start.</summary>
    public abstract Task PrepareAsync(Cluster cluster);

    public abstract BrokerCommand Command(Cluster cluster, Broker broker);

    /// <summary>Whether a broker that runs takes clients.</summary>
    public abstract Task<bool> IsReadyAsync(Broker broker, CancellationToken cancellationToken);
}

/// <param name="Environment">Variables beside those of this process.</param>
internal sealed record BrokerCommand(string Program, IReadOnlyList<string> Arguments, IReadOnlyDictionary<string, string> Environment);
