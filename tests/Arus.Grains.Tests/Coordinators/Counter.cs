using Arus.Coordination;
using Arus.Protocol;

namespace Arus.Grains.Tests.Coordinators;

/// <summary>What is to be stored of a counter.</summary>
internal sealed record CounterRecords(int Total);

/// <summary>The smallest machine with all that a host has to serve: changes, replies that wait for them, and deadlines.</summary>
internal sealed class Counter(int total, Action<string> note) : IStateMachine<CounterRecords>
{
    private readonly List<Reply> _ready = [];
    private readonly List<Reply> _writing = [];
    private readonly List<Reply> _unwritten = [];
    private readonly List<(long Due, Reply Reply)> _waiting = [];
    private long _breaksAtMs = long.MaxValue;

    public bool IsIdle => _unwritten.Count == 0;

    public void Receive(long call, IApiMessage request, Caller caller, long nowMs)
    {
        if (request is Add add)
        {
            total += add.Amount;
            note($"add {add.Amount}");
            _unwritten.Add(new Reply(call, new Number(total)));
        }
        else if (request is Break { DelayMs: > 0 } later)
        {
            note("break");
            _breaksAtMs = nowMs + later.DelayMs;
        }
        else if (request is Break)
        {
            BreakDown();
        }
        else
        {
            note("wait");
            _waiting.Add((nowMs + ((Wait)request).DelayMs, new Reply(call, new Number(total))));
        }
    }

    public void Advance(long nowMs)
    {
        if (nowMs >= _breaksAtMs)
            BreakDown();

        _ready.AddRange(_waiting.Where(waiting => waiting.Due <= nowMs).Select(waiting => waiting.Reply));
        _waiting.RemoveAll(waiting => waiting.Due <= nowMs);
    }

    public void Written()
    {
        _ready.AddRange(_writing);
        _writing.Clear();
    }

    public Effects<CounterRecords> TakeEffects(bool canWrite)
    {
        CounterRecords? records = null;
        if (canWrite && _unwritten.Count > 0)
        {
            Assert.Empty(_writing);
            records = new CounterRecords(total);
            _writing.AddRange(_unwritten);
            _unwritten.Clear();
        }

        Reply[] replies = [.. _ready];
        _ready.Clear();
        return new(replies, records, _waiting.Select(waiting => waiting.Due).Append(_breaksAtMs).Min());
    }

    /// <summary>What it has half done must not be acknowledged.</summary>
    private void BreakDown()
    {
        total = -1;
        throw new NotSupportedException("The machine has a mistake.");
    }
}

internal sealed record Add(int Amount) : CounterMessage;

internal sealed record Wait(int DelayMs) : CounterMessage;

/// <summary>Makes the machine throw, at once or when the time is over.</summary>
internal sealed record Break(int DelayMs) : CounterMessage;

internal sealed record Number(int Value) : CounterMessage;

/// <summary>Stays inside an activation, so that it needs no bytes.</summary>
internal abstract record CounterMessage : IApiMessage
{
    ApiDescriptor IApiMessage.Api => throw new NotSupportedException();

    bool IApiMessage.IsRequest => throw new NotSupportedException();

    void IMessage.Write(ref WireWriter writer, short version) => throw new NotSupportedException();
}
