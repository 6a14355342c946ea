using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Orleans.Runtime;

/// <summary>One activation of a grain: its object, the work that waits for it, and its way from creation to its end.</summary>
internal sealed partial class Activation : IGrainContext
{
    private enum State
    {
        Creating,
        Valid,
        Deactivating,
        Gone,
    }

    private readonly Lock _gate = new();
    private readonly LinkedList<WorkItem> _waiting = new();
    private readonly ActivationScheduler _scheduler;
    private readonly HashSet<GrainTimer> _timers = [];
    private readonly TaskCompletionSource _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lazy<LifecycleSubject> _lifecycle = new(LazyThreadSafetyMode.None);
    private readonly Lazy<IServiceScope> _scope;
    private State _state = State.Creating;
    private DeactivationReason? _ending;
    private int _running;

    // Of those running, the ones that let nothing but interleaving work start beside them, and how many of these only read.
    private int _blocking;
    private int _blockingReaders;
    private long _lastUsed;
    private long _keepUntil = long.MinValue;
    private GrainReference? _reference;

    public Activation(SiloRuntime silo, GrainClass grainClass, GrainId grainId)
    {
        Silo = silo;
        Class = grainClass;
        GrainId = grainId;
        Address = new GrainAddress
        {
            GrainId = grainId, ActivationId = ActivationId.NewId(), SiloAddress = silo.SiloAddress, MembershipVersion = silo.Membership.CurrentSnapshot.Version,
        };
        _scheduler = new ActivationScheduler(this);
        _scope = new(silo.ServiceProvider.CreateScope, LazyThreadSafetyMode.ExecutionAndPublication);
        _lastUsed = silo.Time.GetTimestamp();
    }

    public SiloRuntime Silo { get; }

    public RuntimeCore Runtime => Silo;

    public GrainClass Class { get; }

    public GrainId GrainId { get; }

    public object? GrainInstance { get; private set; }

    public GrainAddress Address { get; }

    public ActivationId ActivationId => Address.ActivationId;

    public IServiceProvider ActivationServices => _scope.Value.ServiceProvider;

    public IGrainLifecycle ObservableLifecycle => _lifecycle.Value;

    public Task Deactivated => _gone.Task;

    public GrainReference GrainReference => _reference ??= Silo.GetReference(GrainId, typeof(IGrain));

    /// <summary>Running and waiting.</summary>
    public int Load
    {
        get
        {
            lock (_gate)
            {
                return _running + _waiting.Count;
            }
        }
    }

    public bool IsGone => _state == State.Gone;

    /// <summary>Takes work; false if the activation is gone, and the work must find another.</summary>
    public bool TryReceive(WorkItem item)
    {
        lock (_gate)
        {
            if (_state == State.Gone)
            {
                return false;
            }

            if (MayStart(item))
            {
                Begin(item);
                return true;
            }

            int limit = Silo.Messaging.MaxEnqueuedRequestsHardLimit;
            if (limit <= 0 || _waiting.Count < limit || item is not Invocation)
            {
                _waiting.AddLast(item);
                return true;
            }
        }

        ((Invocation)item).Fail(new LimitExceededException($"Grain {GrainId} has {Silo.Messaging.MaxEnqueuedRequestsHardLimit} requests waiting, as many as MaxEnqueuedRequestsHardLimit allows."));
        return true;
    }

    public void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            if (_state is State.Deactivating or State.Gone || _ending is not null)
            {
                return;
            }

            _ending = deactivationReason;
            if (_state == State.Valid)
            {
                _state = State.Deactivating;
                _scheduler.Schedule(static state => _ = ((Activation)state!).DeactivateAsync(), this);
            }
        }
    }

    /// <summary>Deactivates if nothing has happened here for that long.</summary>
    public bool TryCollect(TimeSpan idle)
    {
        lock (_gate)
        {
            long now = Silo.Time.GetTimestamp();
            if (_state != State.Valid || _running > 0 || _waiting.Count > 0 || now < _keepUntil || Silo.Time.GetElapsedTime(_lastUsed, now) < idle)
            {
                return false;
            }
        }

        Deactivate(new DeactivationReason(DeactivationReasonCode.ActivationIdle, $"Idle for {idle}."));
        return true;
    }

    public void DelayDeactivation(TimeSpan timeSpan)
    {
        lock (_gate)
        {
            _keepUntil = timeSpan <= TimeSpan.Zero ? long.MinValue
                : timeSpan == TimeSpan.MaxValue ? long.MaxValue
                : Silo.Time.GetTimestamp() + (long)(timeSpan.TotalSeconds * Silo.Time.TimestampFrequency);
        }
    }

    public IGrainTimer RegisterTimer<TState>(Func<TState, CancellationToken, Task> callback, TState state, GrainTimerCreationOptions options)
    {
        var timer = new GrainTimer(this, options, token => callback(state, token));
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_state == State.Gone, this);
            _timers.Add(timer);
        }

        timer.Change(options.DueTime, options.Period);
        return timer;
    }

    public void Forget(GrainTimer timer)
    {
        lock (_gate)
        {
            _timers.Remove(timer);
        }
    }

    /// <summary>No turn runs from now on.</summary>
    public void Halt() => _scheduler.Halt();

    /// <summary>Ends without a word, as when the process is killed.</summary>
    public void Abandon()
    {
        Halt();
        lock (_gate)
        {
            _state = State.Gone;
            _waiting.Clear();
        }

        StopTimers();
    }

    public bool Equals(IGrainContext? other) => ReferenceEquals(this, other);

    public override string ToString() => $"[Activation {GrainId} {ActivationId} on {Silo.SiloAddress}]";

    private bool MayStart(WorkItem item) =>
        _state == State.Valid && (_blocking == 0 || Interleaves(item) || (item.ReadOnly && _blocking == _blockingReaders));

    private bool Interleaves(WorkItem item) => item.Interleaves || (Class.IsReentrant && item is Invocation);

    private void Begin(WorkItem item)
    {
        _running++;
        if (!Interleaves(item))
        {
            _blocking++;
            _blockingReaders += item.ReadOnly ? 1 : 0;
        }

        _scheduler.Schedule(static state => _ = ((Turn)state!).RunAsync(), new Turn(this, item));
    }

    private void End(WorkItem item)
    {
        lock (_gate)
        {
            _running--;
            if (!Interleaves(item))
            {
                _blocking--;
                _blockingReaders -= item.ReadOnly ? 1 : 0;
            }

            if (item.KeepsAlive)
            {
                _lastUsed = Silo.Time.GetTimestamp();
            }

            if (_state == State.Deactivating && _running == 0)
            {
                _drained?.TrySetResult();
            }

            StartWaiting();
        }
    }

    /// <summary>Starts what may start, in order of arrival.</summary>
    private void StartWaiting()
    {
        for (LinkedListNode<WorkItem>? node = _waiting.First; node is not null;)
        {
            LinkedListNode<WorkItem>? next = node.Next;
            if (MayStart(node.Value))
            {
                _waiting.Remove(node);
                Begin(node.Value);
            }
            else if (_state != State.Valid || (_blocking > _blockingReaders && !Class.HasInterleaving))
            {
                return;
            }

            node = next;
        }
    }

    private sealed class Turn(Activation activation, WorkItem item)
    {
        public async Task RunAsync()
        {
            try
            {
                if (item is Invocation { IsExpired: true } && activation.Silo.Messaging.DropExpiredMessages)
                {
                    return;
                }

                await item.RunAsync(activation.GrainInstance!);
            }
            catch (Exception exception)
            {
                LogWorkFailed(activation.Silo.Logger, activation.GrainId, exception);
            }
            finally
            {
                activation.End(item);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Work of {GrainId} failed outside of the grain's code.")]
    private static partial void LogWorkFailed(ILogger logger, GrainId grainId, Exception exception);
}
