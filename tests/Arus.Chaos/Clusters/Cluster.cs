using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;

namespace Arus.Chaos;

/// <summary>
/// Brokers, their network, and the database if they need one. It starts again what ends by itself, as a service manager would.
/// Everything goes with it: processes, namespaces, mounts, and the directory unless it is to be kept.
/// </summary>
internal sealed class Cluster : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan PollPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan RestartPause = TimeSpan.FromSeconds(1);

    private readonly BrokerLaunch _launch;
    private readonly Journal _journal;
    private readonly List<Broker> _brokers = [];
    private volatile bool _isClosing;

    private Cluster(BrokerLaunch launch, string directory, Journal journal)
    {
        (_launch, Directory, _journal) = (launch, directory, journal);
    }

    public string Directory { get; }

    public IReadOnlyList<Broker> Brokers => _brokers;

    public Network Network { get; private set; } = null!;

    public Database? Database { get; private set; }

    /// <summary>The disk of the last broker's log.</summary>
    public SmallDisk? Disk { get; private set; }

    public int ReplicationFactor => Math.Min(3, _brokers.Count);

    public string Bootstrap => string.Join(',', _brokers.Select(broker => $"{broker.Address}:{Broker.KafkaPort}"));

    public BrokerLaunch Launch => _launch;

    /// <summary>Starts everything and waits until every broker takes clients.</summary>
    /// <param name="withSmallDisk">Whether the last broker has a <see cref="Disk"/> that can be filled.</param>
    /// <param name="room">How many brokers it may have at once, if it is to grow (<see cref="AddBrokerAsync"/>).</param>
    [SuppressMessage("Reliability", "CA2000", Justification = "Returned, or disposed on failure.")]
    public static async Task<Cluster> StartAsync(
        BrokerLaunch launch, int brokers, string directory, Journal journal, bool withSmallDisk = false, int? room = null)
    {
        var cluster = new Cluster(launch, directory, journal);
        try
        {
            await cluster.StartAsync(brokers, room ?? brokers, withSmallDisk);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until a broker takes clients; false when it does not within the limit.</summary>
    public async Task<bool> IsReadyAsync(Broker broker, TimeSpan? limit = null)
    {
        using var deadline = new CancellationTokenSource(limit ?? StartLimit);
        while (!deadline.IsCancellationRequested)
        {
            try
            {
                if (broker.IsRunning && await _launch.IsReadyAsync(broker, deadline.Token))
                    return true;

                await Task.Delay(PollPause, deadline.Token);
            }
            catch (Exception e) when (e is HttpRequestException or SocketException)
            {
                await Task.Delay(PollPause);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }

        return false;
    }

    /// <summary>Starts a broker and waits until it takes clients. That it does not is a finding.</summary>
    public async Task StartAsync(Broker broker)
    {
        broker.Start();
        long start = TimeProvider.System.GetTimestamp();
        if (await IsReadyAsync(broker))
            _journal.Note($"broker {broker.Id} is ready after {TimeProvider.System.GetElapsedTime(start).TotalSeconds:0.0} s");
        else
            _journal.Find($"broker {broker.Id} was not ready {StartLimit.TotalSeconds:0} s after its start ({broker.OutputFile})");
    }

    /// <summary>Starts another broker, with the next id, and waits until it takes clients.</summary>
    public async Task<Broker> AddBrokerAsync()
    {
        Broker broker = NewBroker(_brokers.Count + 1);
        await StartAsync(broker);
        return broker;
    }

    /// <summary>Stops the last broker for good. That it does not end by itself is a finding.</summary>
    public async Task RemoveBrokerAsync(TimeSpan limit)
    {
        Broker broker = _brokers[^1];
        if (await broker.StopAsync(limit) is null)
            _journal.Find($"broker {broker.Id} did not stop within {limit.TotalSeconds:0} s of SIGTERM");

        _brokers.Remove(broker);
    }

    /// <summary>Ends what faults are left, and waits until every broker takes clients.</summary>
    public async Task HealAsync()
    {
        await Network.HealAsync();
        if (Disk is not null)
            await Disk.EmptyAsync();

        if (Database is not null)
            await Database.StartAsync();

        foreach (Broker broker in _brokers)
        {
            broker.Resume();
            if (!broker.IsRunning && !broker.IsToRun)
                broker.Start();
        }

        foreach (Broker broker in _brokers)
        {
            if (!await IsReadyAsync(broker))
                _journal.Find($"broker {broker.Id} did not get ready when all faults were over ({broker.OutputFile})");
        }
    }

    public async ValueTask DisposeAsync()
    {
        _isClosing = true;
        await Task.WhenAll(_brokers.Select(broker => broker.KillAsync()));
        if (Database is not null)
            await Database.DisposeAsync();

        if (Disk is not null)
            await Disk.DisposeAsync();

        if (Network is not null)
            await Network.DisposeAsync();
    }

    private Broker NewBroker(int id)
    {
        var broker = new Broker(id, Path.Combine(Directory, $"broker-{id}"), b => _launch.Command(this, b), OnEnded);
        System.IO.Directory.CreateDirectory(broker.LogDirectory);
        _brokers.Add(broker);
        return broker;
    }

    private async Task StartAsync(int brokers, int room, bool withSmallDisk)
    {
        Network = await Network.CreateAsync(room);
        for (int id = 1; id <= brokers; id++)
            NewBroker(id);

        if (withSmallDisk)
            Disk = await SmallDisk.MountAsync(_brokers[^1].LogDirectory);
        if (_launch.NeedsDatabase && room > 1)
            Database = await Database.CreateAsync();

        await _launch.PrepareAsync(this);
        foreach (Broker broker in _brokers)
            broker.Start();

        foreach (Broker broker in _brokers)
        {
            if (!await IsReadyAsync(broker))
                throw new ChaosException($"Broker {broker.Id} did not get ready; see {broker.OutputFile}.");
        }
    }

    /// <summary>A process that nobody ended.</summary>
    private void OnEnded(Broker broker, int exitCode)
    {
        if (_isClosing)
            return;

        string text = $"broker {broker.Id} ended by itself with exit code {exitCode}";
        if (_launch.ExitCodesOfTheEvicted.Contains(exitCode))
            _journal.Note(text);
        else
            _journal.Find($"{text} ({broker.OutputFile})");

        _ = RestartAsync(broker);
    }

    private async Task RestartAsync(Broker broker)
    {
        await Task.Delay(RestartPause);
        if (!_isClosing && broker.IsToRun && !broker.IsRunning)
            broker.Start();
    }
}
