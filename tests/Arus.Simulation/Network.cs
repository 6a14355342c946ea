namespace Arus.Simulation;

/// <summary>Carries calls between brokers, and from clients to brokers: late, twice, in another order, or not at all.</summary>
internal sealed class Network(World world, int brokers)
{
    public const int Client = -1;

    private readonly int[,] _cuts = new int[brokers, brokers];

    /// <summary>Of calls, and again of answers.</summary>
    public double Loss { get; set; }

    public double Duplication { get; set; }

    /// <summary>The most that one message takes longer than another.</summary>
    public int ReorderMs { get; set; }

    public bool IsCut(int from, int to) => from != Client && to != Client && _cuts[from, to] > 0;

    /// <summary>Cuts may overlap; each ends by itself.</summary>
    public void Cut(int from, int to, bool isCut) => _cuts[from, to] += isCut ? 1 : -1;

    public void CutBoth(int one, int other, bool isCut)
    {
        Cut(one, other, isCut);
        Cut(other, one, isCut);
    }

    public int Latency() =>
        1 + (ReorderMs > 0 ? world.Random.Next(ReorderMs) : world.Chance(0.02) ? world.Random.Next(50) : world.Random.Next(2));

    /// <summary>One message, without an answer.</summary>
    public void Send(int from, int to, Action deliver)
    {
        if (!IsCut(from, to) && !world.Chance(Loss))
            world.After(Latency(), () => Arrive(from, to, deliver));
    }

    /// <param name="deliver">Called when the call arrives, perhaps twice; it is given the way to answer.</param>
    /// <param name="completed">Called once, with null when no answer came in time.</param>
    /// <returns>Ends the call early, as if no answer had come.</returns>
    public Action Call<T>(int from, int to, int timeoutMs, Action<Action<T>> deliver, Action<T?> completed)
        where T : class
    {
        bool done = false;
        world.After(timeoutMs, () => Complete(null));
        int copies = world.Chance(Duplication) ? 2 : 1;
        for (int i = 0; i < copies; i++)
            Send(from, to, () => deliver(answer => Send(to, from, () => Complete(answer))));

        return () => Complete(null);

        void Complete(T? answer)
        {
            if (done)
                return;

            done = true;
            completed(answer);
        }
    }

    /// <summary>A cut takes with it what is on its way.</summary>
    private void Arrive(int from, int to, Action deliver)
    {
        if (!IsCut(from, to))
            deliver();
    }
}
