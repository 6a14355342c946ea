using System.Diagnostics;
using Arus.Coordination;
using Arus.Protocol;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>Hosts a coordinator's state machine: runs the loop that <see cref="IStateMachine{TRecords}"/> demands.</summary>
/// <remarks>
/// <list type="number">
/// <item>Load: a machine that is idle is only looked at, since to claim it writes rows, and listing thousands of idle coordinators must
/// not.</item>
/// <item>Claim: before the first request, and before the first write, the store is claimed and read again. From then on every write of an
/// earlier activation fails.</item>
/// <item>Feed: calls and the timer interleave. Each gives the machine one input and carries out its effects before it awaits
/// anything.</item>
/// <item>End: after a write that failed, when the machine throws, or when another activation is the owner, all calls that wait fail with
/// <see cref="ErrorCode.NotCoordinator"/> and the activation ends. Its callers ask again, and reach one that begins with what is
/// stored.</item>
/// </list>
/// </remarks>
internal abstract partial class CoordinatorGrain<TMachine, TRecords>(TimeProvider time, ILogger logger) : Grain
    where TMachine : class, IStateMachine<TRecords>
    where TRecords : class
{
    private readonly Dictionary<long, TaskCompletionSource<IApiMessage>> _calls = [];
    private ICoordinatorStore<TRecords> _store = null!;
    private IGrainTimer? _timer;
    private long _startMs;
    private long _startTimestamp;
    private long _armed = long.MaxValue;
    private long _lastCall;
    private Task? _claim;
    private bool _isClaimed;
    private bool _isWriting;
    private bool _hasEnded;

    /// <summary>Another one after the claim.</summary>
    protected TMachine Machine { get; private set; } = null!;

    /// <summary>Follows the wall clock from the activation on, but not its jumps: a session must not end because a clock was set.</summary>
    protected long NowMs => _startMs + (long)time.GetElapsedTime(_startTimestamp).TotalMilliseconds;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _store = OpenStore();
        _startMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        _startTimestamp = time.GetTimestamp();
        await LoadAsync(claim: false);
        if (!_isClaimed && !Machine.IsIdle)
            await LoadAsync(claim: true);

        CarryOutEffects();
    }

    /// <remarks>
    /// Orleans lets the calls that run finish before it comes to this, and the timer ticks meanwhile: a machine has to answer each call by
    /// a deadline, or a call that waits would keep a silo from stopping.
    /// </remarks>
    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        FailCalls();
        return Task.CompletedTask;
    }

    protected abstract ICoordinatorStore<TRecords> OpenStore();

    /// <summary>Builds the machine from what the store has loaded.</summary>
    protected abstract TMachine CreateMachine(long nowMs);

    /// <summary>What was stored belongs to this activation now, and <see cref="Machine"/> coordinates.</summary>
    protected virtual void OnClaimed()
    {
    }

    /// <summary>The effects of an input are carried out, and the activation coordinates. A machine may want more than these.</summary>
    protected virtual void OnEffects()
    {
    }

    /// <summary>Hands a request to the machine, and waits for its reply.</summary>
    /// <param name="claim">False for a request that changes nothing and may be answered from what another activation has stored.</param>
    /// <exception cref="ArusException"><see cref="ErrorCode.NotCoordinator"/>: another activation coordinates; ask again.</exception>
    /// <exception cref="Exception">What the machine threw at this request; asking again is of no use.</exception>
    protected Task<TResponse> AskAsync<TResponse>(IApiMessage request, Caller caller = default, bool claim = true)
        where TResponse : IApiMessage =>
        AskAsync<TResponse>((machine, call, nowMs) => machine.Receive(call, request, caller, nowMs), claim);

    /// <inheritdoc cref="AskAsync{TResponse}(IApiMessage, Caller, bool)"/>
    /// <param name="input">Gives the machine a request that is no message: the machine, the call, and the time.</param>
    protected async Task<TResponse> AskAsync<TResponse>(Action<TMachine, long, long> input, bool claim = true)
        where TResponse : IApiMessage
    {
        if (claim)
            await ClaimAsync();

        ThrowIfEnded();
        long call = ++_lastCall;
        var source = new TaskCompletionSource<IApiMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        _calls.Add(call, source);
        try
        {
            input(Machine, call, NowMs);
            CarryOutEffects();
        }
        catch (Exception failure)
        {
            _calls.Remove(call);
            End(failure);
            throw;
        }

        return (TResponse)await source.Task;
    }

    /// <summary>Tells the machine, which is claimed, what no caller asks.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.NotCoordinator"/>.</exception>
    protected void Tell(Action<TMachine> input)
    {
        ThrowIfEnded();
        try
        {
            input(Machine);
            CarryOutEffects();
        }
        catch (Exception failure)
        {
            End(failure);
            throw;
        }
    }

    /// <summary>For requests that must not be answered from what an earlier owner remembers.</summary>
    /// <exception cref="ArusException"><see cref="ErrorCode.NotCoordinator"/>.</exception>
    protected async Task CheckOwnershipAsync()
    {
        await ClaimAsync();
        if (!_hasEnded && !await _store.IsOwnerAsync())
            End(null);

        ThrowIfEnded();
    }

    private void ThrowIfEnded()
    {
        if (_hasEnded)
            throw NotCoordinator();
    }

    private async Task LoadAsync(bool claim)
    {
        await _store.LoadAsync(claim);

        // The machine that was only looked at goes, and would never answer what waits in it.
        RefuseCalls();
        long nowMs = NowMs;
        Machine = CreateMachine(nowMs);
        _isClaimed = claim || !_store.Exists;
        if (claim && _store.Exists)
            OnClaimed();

        // What expired while nothing coordinated must not be answered any more.
        Machine.Advance(nowMs);
    }

    protected Task ClaimAsync() => _isClaimed || _hasEnded ? Task.CompletedTask : _claim ??= ClaimOnceAsync();

    private async Task ClaimOnceAsync()
    {
        try
        {
            await LoadAsync(claim: true);
            CarryOutEffects();
        }
        catch (Exception failure)
        {
            End(failure);
        }
    }

    private void CarryOutEffects()
    {
        if (_hasEnded)
            return;

        Effects<TRecords> effects = Machine.TakeEffects(canWrite: _isClaimed && !_isWriting);
        foreach ((long call, IApiMessage message) in effects.Replies)
        {
            bool waits = _calls.Remove(call, out TaskCompletionSource<IApiMessage>? source);
            Debug.Assert(waits, "A call is answered once.");
            source?.SetResult(message);
        }

        ArmTimer(effects.Deadline);
        if (effects.Records is { } records)
            _ = WriteAsync(records);

        if (_isClaimed && !_hasEnded)
            OnEffects();
    }

    private async Task WriteAsync(TRecords records)
    {
        _isWriting = true;
        try
        {
            await _store.WriteAsync(records);
            _isWriting = false;
            if (!_hasEnded)
            {
                Machine.Written();
                CarryOutEffects();
            }
        }
        catch (Exception failure)
        {
            End(failure);
        }
    }

    private void ArmTimer(long deadline)
    {
        // A tick that comes too early does nothing, so a deadline that moved back needs no new one.
        if (deadline >= _armed)
            return;

        _armed = deadline;
        var due = TimeSpan.FromMilliseconds(Math.Max(deadline - NowMs, 0));

        // Interleaved: the calls that wait for this tick are running requests.
        _timer ??= this.RegisterGrainTimer(
            OnTimerAsync, new GrainTimerCreationOptions(due, Timeout.InfiniteTimeSpan) { Interleave = true });
        _timer.Change(due, Timeout.InfiniteTimeSpan);
    }

    private async Task OnTimerAsync(CancellationToken cancellationToken)
    {
        _armed = long.MaxValue;
        if (_hasEnded)
            return;

        try
        {
            Machine.Advance(NowMs);
            CarryOutEffects();
        }
        catch (Exception failure)
        {
            End(failure);
            return;
        }

        if (!Machine.IsIdle)
            await ClaimAsync();
    }

    private void End(Exception? failure)
    {
        if (_hasEnded)
            return;

        if (failure is null or InconsistentStateException)
            LogSuperseded(this.GetGrainId());
        else
            LogFailed(failure, this.GetGrainId());

        FailCalls();
        DeactivateOnIdle();
    }

    private void FailCalls()
    {
        _hasEnded = true;
        RefuseCalls();
        _timer?.Dispose();
        _timer = null;
    }

    private void RefuseCalls()
    {
        foreach (TaskCompletionSource<IApiMessage> source in _calls.Values)
            source.SetException(NotCoordinator());

        _calls.Clear();
    }

    private ArusException NotCoordinator() =>
        new(ErrorCode.NotCoordinator, $"The coordinator {this.GetGrainId()} has moved or begins anew; ask again.");

    [LoggerMessage(LogLevel.Information, "Coordinator {Grain} has another activation now; this one ends.")]
    private partial void LogSuperseded(GrainId grain);

    [LoggerMessage(LogLevel.Error, "Coordinator {Grain} or its storage failed; it begins anew with what is stored.")]
    private partial void LogFailed(Exception failure, GrainId grain);
}
