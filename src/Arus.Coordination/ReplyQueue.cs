using System.Diagnostics;
using Arus.Protocol;

namespace Arus.Coordination;

/// <summary>The replies of a state machine. One that tells of a change waits until the change is durable.</summary>
internal sealed class ReplyQueue
{
    private readonly List<Reply> _ready = [];
    private readonly Queue<(long Change, Reply Reply)> _held = new();
    private long _changes;
    private long _durable;
    private long? _writing;

    /// <summary>Something has changed that is to be made durable.</summary>
    public void NoteChange() => _changes++;

    public void Send(long call, IApiMessage message) => _ready.Add(new Reply(call, message));

    /// <summary>Sends when all that has changed so far is durable.</summary>
    public void SendWhenDurable(long call, IApiMessage message)
    {
        if (_durable == _changes)
            Send(call, message);
        else
            _held.Enqueue((_changes, new Reply(call, message)));
    }

    /// <summary>All that has changed so far is being written.</summary>
    public void BeginWrite()
    {
        Debug.Assert(_writing is null, "A host has one write under way at most.");
        Debug.Assert(_changes > _durable, "There is nothing to write.");
        _writing = _changes;
    }

    /// <summary>The write is durable.</summary>
    public void EndWrite()
    {
        Debug.Assert(_writing is not null, "No write is under way.");
        _durable = _writing ?? _durable;
        _writing = null;
        while (_held.TryPeek(out (long Change, Reply Reply) held) && held.Change <= _durable)
            _ready.Add(_held.Dequeue().Reply);

        Debug.Assert(_held.Count == 0 || _changes > _durable, "A reply waits for a change that is durable.");
    }

    /// <summary>The replies that may go now; each is returned once.</summary>
    public IReadOnlyList<Reply> Take()
    {
        Reply[] replies = [.. _ready];
        _ready.Clear();
        return replies;
    }
}
