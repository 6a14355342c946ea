using System.Diagnostics;

namespace Arus.Storage;

internal readonly record struct EpochStart(int Epoch, long StartOffset);

/// <summary>Which leader epoch wrote which offsets (KIP-101). Both grow along the list. Guarded by its owner's lock.</summary>
internal sealed class LeaderEpochs
{
    private EpochStart[] _entries = [];

    public LeaderEpochs()
    {
    }

    public LeaderEpochs(EpochStart[] entries)
    {
        _entries = entries;
        Count = entries.Length;
        for (int i = 1; i < Count; i++)
        {
            Debug.Assert(entries[i].Epoch > entries[i - 1].Epoch && entries[i].StartOffset >= entries[i - 1].StartOffset, "Epochs grow along the log.");
        }
    }

    public int Count { get; private set; }

    public ReadOnlySpan<EpochStart> Entries => _entries.AsSpan(0, Count);

    public int Latest => Count == 0 ? RecordBatchHeader.NoLeaderEpoch : _entries[Count - 1].Epoch;

    /// <summary>A batch of an epoch begins at an offset; only the first of an epoch counts.</summary>
    public void Add(int epoch, long offset)
    {
        if (epoch <= Latest)
        {
            return;
        }

        if (Count == _entries.Length)
        {
            Array.Resize(ref _entries, Math.Max(1, Count * 2));
        }

        Debug.Assert(Count == 0 || offset >= _entries[Count - 1].StartOffset, "Epochs and their start offsets grow together.");
        _entries[Count++] = new EpochStart(epoch, offset);
    }

    public LogEpochEnd End(int epoch, long logEndOffset)
    {
        if (Count == 0 || epoch < 0 || epoch > Latest)
        {
            return new LogEpochEnd(-1, -1);
        }

        if (epoch == Latest)
        {
            return new LogEpochEnd(epoch, logEndOffset);
        }

        int next = 0;
        while (_entries[next].Epoch <= epoch)
        {
            next++;
        }

        return next == 0
            ? new LogEpochEnd(epoch, _entries[0].StartOffset)
            : new LogEpochEnd(_entries[next - 1].Epoch, _entries[next].StartOffset);
    }

    /// <summary>Forgets the epochs that begin at or after an offset.</summary>
    public void TruncateTo(long offset)
    {
        while (Count > 0 && _entries[Count - 1].StartOffset >= offset)
        {
            Count--;
        }
    }

    /// <summary>The log begins at an offset now: earlier epochs go, the one in force there begins there.</summary>
    public void AdvanceStart(long logStartOffset)
    {
        int first = 0;
        while (first + 1 < Count && _entries[first + 1].StartOffset <= logStartOffset)
        {
            first++;
        }

        if (Count == 0 || (first == 0 && _entries[0].StartOffset >= logStartOffset))
        {
            return;
        }

        _entries = _entries[first..Count];
        Count = _entries.Length;
        _entries[0] = _entries[0] with { StartOffset = Math.Max(_entries[0].StartOffset, logStartOffset) };
    }
}
