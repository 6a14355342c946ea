using System.Diagnostics;

namespace Arus.Coordination;

/// <summary>Tells every participant of a transaction how it ended, again and again until each has it.</summary>
/// <param name="isDurable">Whether the decision is; nothing is sent before.</param>
internal sealed class MarkerDelivery(IReadOnlyList<TransactionParticipant> participants, bool isDurable)
{
    /// <summary>Markers of one transaction that are under way at the same time.</summary>
    public const int MaxInFlight = 64;

    public const int MaxRetryMs = 5_000;

    private const int FirstRetryMs = 20;

    private readonly Dictionary<TransactionParticipant, Attempts> _pending =
        participants.ToDictionary(participant => participant, _ => new Attempts());

    private readonly Queue<TransactionParticipant> _due = new(participants);
    private readonly PriorityQueue<TransactionParticipant, long> _later = new();
    private int _inFlight;

    public bool IsDurable { get; set; } = isDurable;

    public bool IsDone => _pending.Count == 0;

    /// <summary>When the next marker is to be sent again.</summary>
    public long NextRetryMs => _later.TryPeek(out _, out long due) ? due : long.MaxValue;

    /// <summary>Lets go what is due by now.</summary>
    /// <returns>Whether the fate of an earlier attempt of it is unknown.</returns>
    public bool Advance(long nowMs)
    {
        bool isUncertain = false;
        while (NextRetryMs <= nowMs)
        {
            TransactionParticipant participant = _later.Dequeue();
            _due.Enqueue(participant);
            Attempts attempts = _pending[participant];
            isUncertain |= attempts.IsUncertain;
            attempts.IsUncertain = false;
        }

        return isUncertain;
    }

    /// <summary>Takes the next participant to be told, if there is one that may be told now.</summary>
    /// <param name="id">Names the attempt.</param>
    public bool TryTake(long id, out TransactionParticipant participant)
    {
        if (!IsDurable || _inFlight == MaxInFlight || !_due.TryDequeue(out participant))
        {
            participant = default;
            return false;
        }

        _pending[participant].Id = id;
        _inFlight++;
        return true;
    }

    /// <summary>An attempt has an outcome. Of one that is not under way any more nothing is believed.</summary>
    public void Answer(long id, TransactionParticipant participant, MarkerOutcome outcome, long nowMs)
    {
        if (!_pending.TryGetValue(participant, out Attempts? attempts) || attempts.Id != id)
            return;

        Debug.Assert(IsDurable && _inFlight > 0, "An outcome is of an attempt that was made.");
        _inFlight--;
        attempts.Id = null;
        if (outcome == MarkerOutcome.Written)
        {
            _pending.Remove(participant);
            return;
        }

        attempts.IsUncertain = outcome == MarkerOutcome.Unknown;
        _later.Enqueue(participant, nowMs + attempts.NextWaitMs());
    }

    private sealed class Attempts
    {
        private int _waitMs = FirstRetryMs / 2;

        /// <summary>Of the attempt that is under way.</summary>
        public long? Id { get; set; }

        public bool IsUncertain { get; set; }

        public int NextWaitMs() => _waitMs = Math.Min(_waitMs * 2, MaxRetryMs);
    }
}
