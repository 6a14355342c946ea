namespace Arus.Chaos;

/// <summary>One kind of fault.</summary>
/// <param name="Kind">Its name, as <c>--faults</c> takes it.</param>
/// <param name="Description">For the help and for reports.</param>
/// <param name="IsUsual">Whether a run has it without being asked.</param>
/// <param name="RunAsync">Makes the fault and ends it; what it writes into the event names the victim.</param>
internal sealed record Fault(string Kind, string Description, bool IsUsual, Func<FaultScene, Task> RunAsync)
{
    /// <summary>Whether it cannot happen to a cluster without a database.</summary>
    public bool NeedsDatabase { get; init; }

    /// <summary>How many brokers it needs to happen.</summary>
    public int LeastBrokers { get; init; } = 1;

    public bool IsPossible(Cluster cluster) =>
        cluster.Brokers.Count >= LeastBrokers && (!NeedsDatabase || cluster.Database is not null);
}

/// <summary>Where a fault happens: the cluster, the dice, and the event that tells of it.</summary>
internal sealed class FaultScene(Cluster cluster, Journal journal, Random random, FaultEvent happening)
{
    public Cluster Cluster => cluster;

    public Journal Journal => journal;

    public Broker AnyBroker() => cluster.Brokers[random.Next(cluster.Brokers.Count)];

    public Broker AnyBrokerBut(Broker other) =>
        cluster.Brokers.Where(broker => broker != other).ElementAt(random.Next(cluster.Brokers.Count - 1));

    public int Roll(int sides) => random.Next(sides);

    /// <summary>Lets time pass, evenly distributed.</summary>
    public Task PassAsync(double fromSeconds, double toSeconds) =>
        Task.Delay(TimeSpan.FromSeconds(fromSeconds + (random.NextDouble() * (toSeconds - fromSeconds))));

    /// <summary>Says what happens now. The first time counts as the start of the fault.</summary>
    public void Tell(string text)
    {
        happening.Describe(text);
        journal.Note($"{happening.Kind}: {text}");
    }
}

/// <summary>A fault that happened; times are those of the <see cref="AvailabilityMeter"/>.</summary>
internal sealed class FaultEvent(string kind, Func<TimeSpan> clock)
{
    public string Kind => kind;

    public TimeSpan Start { get; private set; } = clock();

    public TimeSpan End { get; set; }

    public string Text { get; private set; } = "";

    public void Describe(string text)
    {
        if (Text.Length == 0)
            Start = clock();

        Text = Text.Length == 0 ? text : $"{Text}, {text}";
    }
}
