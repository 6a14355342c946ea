using System.IO.Pipelines;
using System.Net.Sockets;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>What a connection does with what it receives. Called from the connection's read loop, one frame at a time.</summary>
internal interface IFrameHandler
{
    /// <param name="reader">On the frame, past its kind; valid during the call.</param>
    void OnFrame(Connection connection, byte kind, WireReader reader);

    /// <summary>Called once, when the connection has ended.</summary>
    void OnClosed(Connection connection, Exception reason);
}

/// <summary>
/// One TCP connection between two silos, or between a client and its gateway. Frames queue up in a buffer while the previous ones
/// are being sent, and then go out together. Sending is safe for concurrent use.
/// </summary>
internal sealed partial class Connection
{
    /// <summary>Bytes waiting to be sent from which on senders are asked to wait.</summary>
    public const int SendHighWater = 8 * 1024 * 1024;

    private const int KeptBuffer = 1024 * 1024;

    private readonly Socket _socket;
    private readonly PipeReader _input;
    private readonly IFrameHandler _handler;
    private readonly int _maxFrame;
    private readonly Lock _gate = new();
    private readonly List<TaskCompletionSource<bool>> _roomWaiters = [];
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private WireWriter _filling = new(int.MaxValue);
    private WireWriter _sending = new(int.MaxValue);
    private bool _senderActive;
    private volatile bool _closed;

    public Connection(Socket socket, IFrameHandler handler, int maxFrame)
    {
        socket.NoDelay = true;
        _socket = socket;
        _handler = handler;
        _maxFrame = maxFrame;
        _input = PipeReader.Create(
            new NetworkStream(socket, ownsSocket: false), new StreamPipeReaderOptions(bufferSize: ReadBufferSize, minimumReadSize: ReadBufferSize / 4));
    }

    /// <summary>The silo at the other end, once known.</summary>
    public SiloAddress? RemoteSilo { get; set; }

    /// <summary>The client at the other end, once known.</summary>
    public string? ClientId { get; set; }

    /// <summary>Waits for the answer to this end's introduction; null where the other end opened the connection.</summary>
    public TaskCompletionSource<WelcomeMessage>? Greeting { get; set; }

    /// <summary>Both ends know each other; before that, nothing but introductions is accepted.</summary>
    public bool IsGreeted { get; set; }

    /// <summary>It was accepted where clients connect.</summary>
    public bool IsGatewaySide { get; init; }

    /// <summary>The other end has said that it will stop.</summary>
    public bool IsGoing { get; set; }

    public bool IsClosed => _closed;

    /// <summary>False when so much waits to be sent that senders ought to wait.</summary>
    public bool HasRoom => Volatile.Read(ref _filling).Length < SendHighWater;

    /// <summary>Completes when there is room; false if the connection has ended.</summary>
    public ValueTask<bool> WaitForRoomAsync()
    {
        lock (_gate)
        {
            if (_closed || HasRoom)
            {
                return new(!_closed);
            }

            var waiter = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            _roomWaiters.Add(waiter);
            return new(waiter.Task);
        }
    }

    /// <summary>Writes a frame and sends it soon.</summary>
    /// <exception cref="SiloUnavailableException">The connection has ended.</exception>
    /// <exception cref="SerializerException">The contents cannot be serialized, or are too large. Nothing is sent.</exception>
    public void Send<TState>(byte kind, TState state, Action<WireWriter, TState> write)
    {
        lock (_gate)
        {
            WireWriter writer = _filling;
            int start = Begin(kind);
            try
            {
                write(writer, state);
                End(start);
            }
            catch
            {
                writer.Truncate(start);
                throw;
            }
        }
    }

    public void SendResponse<TResult>(long callId, Codec<TResult>? codec, TResult result) =>
        Send(Frame.Response, (callId, codec, result), static (writer, state) =>
        {
            writer.WriteVarUInt64((ulong)state.callId);
            writer.WriteByte(Frame.Success);
            state.codec?.Write(writer, state.result);
        });

    public void SendException(long callId, Exception exception, RuntimeCore runtime) =>
        Send(Frame.Response, (callId, exception, runtime), static (writer, state) =>
        {
            writer.WriteVarUInt64((ulong)state.callId);
            writer.WriteByte(Frame.Failure);
            state.runtime.WriteException(writer, state.exception);
        });

    /// <summary>False if the connection has ended.</summary>
    public bool TrySendRawResponse(long callId, byte status, ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return false;
            }

            int start = Begin(Frame.Response);
            _filling.WriteVarUInt64((ulong)callId);
            _filling.WriteByte(status);
            _filling.WriteBytes(payload);
            End(start);
            return true;
        }
    }

    /// <summary>Tells the other end that this one will stop.</summary>
    public void TrySendGoodbye()
    {
        lock (_gate)
        {
            if (!_closed)
            {
                End(Begin(Frame.Goodbye));
            }
        }
    }

    /// <summary>Receives until the connection ends; then tells the handler.</summary>
    public void Start()
    {
        // What arrives has nothing to do with the async-local values of whoever happened to need the connection first.
        ThreadPool.UnsafeQueueUserWorkItem(static connection => _ = connection.RunAsync(), this, preferLocal: false);
    }

    /// <summary>Ends this direction, and waits, at most so long, until the other end has ended its own.</summary>
    public async Task FinishAsync(TimeSpan limit)
    {
        await FlushAsync(limit);
        try
        {
            // Closing outright with unread input would make the system throw away what the other end has not read yet.
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return;
        }

        await _ended.Task.WaitAsync(limit).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Ends the connection at once; what waits to be sent is lost.</summary>
    public void Close(Exception reason)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
            _roomWaiters.ForEach(waiter => waiter.TrySetResult(false));
            _roomWaiters.Clear();
        }

        _closing.Cancel();
        _socket.Dispose();
        _ended.TrySetResult();
        Greeting?.TrySetException(new IOException(reason.Message, reason));
        _ = Greeting?.Task.Exception;
        _handler.OnClosed(this, reason);
    }

    /// <summary>Waits, at most so long, until what was written has been handed to the network.</summary>
    public async Task FlushAsync(TimeSpan limit)
    {
        long end = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        while (Environment.TickCount64 < end)
        {
            lock (_gate)
            {
                if (_closed || (!_senderActive && _filling.Length == 0))
                {
                    return;
                }
            }

            await Task.Delay(5);
        }
    }

    private int Begin(byte kind)
    {
        ObjectDisposedExceptionIfClosed();
        int start = _filling.Reserve(Frame.LengthSize);
        _filling.WriteByte(kind);
        return start;
    }

    private void End(int start)
    {
        int length = _filling.Length - start - Frame.LengthSize;
        if (length > _maxFrame)
        {
            throw new SerializerException($"A message of {length:N0} bytes is larger than MaxMessageBodySize ({_maxFrame:N0}).");
        }

        _filling.PatchInt32(start, length);
        if (!_senderActive)
        {
            _senderActive = true;
            ThreadPool.UnsafeQueueUserWorkItem(static connection => _ = connection.SendAllAsync(), this, preferLocal: false);
        }
    }

    private void ObjectDisposedExceptionIfClosed()
    {
        if (_closed)
        {
            throw new SiloUnavailableException($"The connection to {RemoteSilo?.ToString() ?? ClientId ?? "the other end"} is closed.");
        }
    }

    private async Task SendAllAsync()
    {
        try
        {
            while (TakeFilled())
            {
                for (ReadOnlyMemory<byte> rest = _sending.WrittenMemory; !rest.IsEmpty;)
                {
                    rest = rest[await _socket.SendAsync(rest, SocketFlags.None, _closing.Token)..];
                }

                _sending.Clear();
                _sending.Trim(KeptBuffer);
            }
        }
        catch (Exception exception)
        {
            Close(exception);
        }
    }

    private bool TakeFilled()
    {
        lock (_gate)
        {
            if (_filling.Length == 0 || _closed)
            {
                _senderActive = false;
                return false;
            }

            (_filling, _sending) = (_sending, _filling);
            _roomWaiters.ForEach(waiter => waiter.TrySetResult(true));
            _roomWaiters.Clear();
            return true;
        }
    }
}
