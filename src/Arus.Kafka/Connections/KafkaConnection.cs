using System.Net;
using System.Threading.Channels;
using Arus.Protocol;
using Microsoft.AspNetCore.Connections;

namespace Arus.Kafka;

/// <summary>What connections need of their process.</summary>
internal sealed record ConnectionServices(
    KafkaListenerOptions Options, HandlerRegistry Handlers, RequestMemory Memory, ResponseMemory Responses, KafkaMetrics Metrics,
    RateLimitedFailureLogger Failures, PartitionReads Partitions, TimeProvider Time, ConnectionLog Log);

/// <summary>
/// One client connection: reads requests in order, lets their handlers run side by side where <see cref="ApiHandler.IsPipelined"/> allows
/// it, and writes the responses in the order of the requests. What is in flight is bounded by not reading on.
/// </summary>
internal sealed partial class KafkaConnection
{
    private readonly ConnectionContext _transport;
    private readonly ConnectionServices _services;

    /// <summary>Ends waits. Not disposed of, since several threads may be about to cancel it; without a timer it holds nothing.</summary>
    private readonly CancellationTokenSource _closed = new();

    private readonly Channel<PendingResponse> _pending = Channel.CreateUnbounded<PendingResponse>(
        new UnboundedChannelOptions { SingleReader = true, SingleWriter = true, AllowSynchronousContinuations = false });

    private readonly AsyncSignal _responseWritten = new();
    private readonly FrameReader _frames;
    private long _lastActivity;
    private long _bytesInFlight;
    private int _inFlight;
    private int _broken;
    private volatile bool _stopping;
    private volatile bool _blockedOnClient;

    public KafkaConnection(ConnectionContext transport, KafkaListener listener, IPAddress remoteAddress, ConnectionServices services)
    {
        _transport = transport;
        Listener = listener;
        RemoteAddress = remoteAddress;
        _services = services;
        _frames = new FrameReader(transport.Transport.Input, services, _closed.Token);
        Watches = new OffsetWatches(services.Partitions, services.Time);
        _lastActivity = services.Time.GetTimestamp();
    }

    public KafkaListener Listener { get; }

    public IPAddress RemoteAddress { get; }

    /// <summary>Tripped when the client is gone or the server stops.</summary>
    public CancellationToken Closed => _closed.Token;

    /// <summary>Tripped when the client is gone: what only answers it is not worth going on with.</summary>
    public CancellationToken Gone => _transport.ConnectionClosed;

    public ResponseMemory Responses => _services.Responses;

    public RateLimitedFailureLogger Failures => _services.Failures;

    /// <summary>The waiting calls of this connection's delayed fetches.</summary>
    public OffsetWatches Watches { get; }

    /// <summary>
    /// How long the client has neither sent a whole request nor taken a response; zero while a request is being handled, since that is
    /// not the client's idleness.
    /// </summary>
    public TimeSpan Idle => Volatile.Read(ref _inFlight) > 0 && !_blockedOnClient
        ? TimeSpan.Zero
        : _services.Time.GetElapsedTime(Volatile.Read(ref _lastActivity));

    /// <summary>Serves the connection until it ends. Throws nothing that is the client's fault.</summary>
    public async Task RunAsync()
    {
        Task writing = WriteResponsesAsync();

        // The transport notices that the client is gone even while nothing is read, as during an exclusive request.
        CancellationTokenRegistration gone = _transport.ConnectionClosed.UnsafeRegister(
            static closed => ((CancellationTokenSource)closed!).Cancel(), _closed);
        try
        {
            await ReadRequestsAsync();
        }
        catch (Exception exception)
        {
            Break(exception);
        }
        finally
        {
            await gone.DisposeAsync();
        }

        // Waits end now; what was accepted is still carried out, and answered if the client still reads.
        await _closed.CancelAsync();
        _pending.Writer.Complete();
        await writing;
        await _transport.Transport.Input.CompleteAsync();
        await _transport.Transport.Output.CompleteAsync();
    }

    /// <summary>Ends the reading of requests and all waits; what is in flight is carried out and answered.</summary>
    public void StopReading()
    {
        _stopping = true;
        _closed.Cancel();
        _transport.Transport.Input.CancelPendingRead();
        _responseWritten.Set();
    }

    /// <summary>Ends the connection. The first reason is logged, in one line; later ones follow from it.</summary>
    public void Break(string reason)
    {
        if (TryBreak())
        {
            _services.Metrics.ConnectionBroken();
            _services.Log.Broken(RemoteAddress, Listener.Name, reason);
            Abort(reason);
        }
    }

    /// <summary>Ends the connection if its client has been silent, or has been sending one request, for too long.</summary>
    public void CloseIfLate()
    {
        KafkaListenerOptions options = _services.Options;
        if (_frames.Age >= options.MaxReceiveTime)
        {
            Break($"a request did not arrive within {BrokerConfigs.RequestReceiveTimeoutMs}={options.MaxReceiveTime.TotalMilliseconds}");
        }
        else if (Idle >= options.MaxIdle)
        {
            // No fault: clients keep connections open that they may need again.
            Drop($"idle for {BrokerConfigs.ConnectionsMaxIdleMs}");
        }
    }

    private void Break(Exception exception)
    {
        switch (exception)
        {
            case ConnectionAbortedException or ConnectionResetException or IOException or OperationCanceledException:
                Drop(exception.Message);
                break;
            case ProtocolException:
                Break(exception.Message);
                break;
            default:
                if (TryBreak())
                {
                    _services.Metrics.ConnectionBroken();
                    _services.Log.Failed(RemoteAddress, Listener.Name, exception);
                    Abort("internal error");
                }

                break;
        }
    }

    private void Drop(string reason)
    {
        if (TryBreak())
        {
            _services.Log.Dropped(RemoteAddress, Listener.Name, reason);
            Abort(reason);
        }
    }

    private bool TryBreak() => Interlocked.Exchange(ref _broken, 1) == 0;

    private void Abort(string reason)
    {
        _stopping = true;
        _transport.Abort(new ConnectionAbortedException(reason));
        _transport.Transport.Input.CancelPendingRead();
        _responseWritten.Set();
    }
}
