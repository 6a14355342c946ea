using System.Threading.Channels;

namespace Arus.Client;

/// <summary>Lanes of work: one lane's is done in order, lanes side by side. A lane exists while it has work. Thread-safe.</summary>
internal sealed class WorkLanes<T>
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(int Partition, ulong Key), Lane> _lanes = [];
    private readonly Channel<Lane> _ready = Channel.CreateUnbounded<Lane>();

    /// <summary>Lanes whose turn it is. Who reads one owns it until <see cref="Finish"/> or <see cref="Again"/>.</summary>
    public ChannelReader<Lane> Ready => _ready.Reader;

    public void Add((int Partition, ulong Key) key, T item)
    {
        lock (_gate)
        {
            if (_lanes.TryGetValue(key, out Lane? lane))
            {
                lane.Items.Enqueue(item);
                return;
            }

            lane = new Lane(key);
            lane.Items.Enqueue(item);
            _lanes.Add(key, lane);
            _ready.Writer.TryWrite(lane);
        }
    }

    /// <summary>The lane's first item is done: the next one gets its turn.</summary>
    public void Finish(Lane lane)
    {
        lock (_gate)
        {
            lane.Items.Dequeue();
            lane.Attempts = 0;
            if (lane.Items.Count == 0)
                _lanes.Remove(lane.Key);
            else
                _ready.Writer.TryWrite(lane);
        }
    }

    /// <summary>The lane's first item gets another turn.</summary>
    public void Again(Lane lane) => _ready.Writer.TryWrite(lane);

    public T First(Lane lane)
    {
        lock (_gate)
            return lane.Items.Peek();
    }

    public void Close() => _ready.Writer.TryComplete();

    internal sealed class Lane((int Partition, ulong Key) key)
    {
        public (int Partition, ulong Key) Key { get; } = key;

        public Queue<T> Items { get; } = new();

        /// <summary>How often the first item was tried.</summary>
        public int Attempts { get; set; }
    }
}
