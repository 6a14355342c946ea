using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Arus.Storage;

internal readonly record struct EpochStart(int Epoch, long StartOffset);

/// <summary>Which leader epoch wrote which offsets (KIP-101). Both grow along the list. Guarded by its owner's lock.</summary>
internal sealed class LeaderEpochs
{
    private readonly List<EpochStart> _entries = [];

    public LeaderEpochs(params EpochStart[] entries)
    {
        _entries.AddRange(entries);
        for (int i = 1; i < entries.Length; i++)
        {
            Debug.Assert(
                entries[i].Epoch > entries[i - 1].Epoch && entries[i].StartOffset >= entries[i - 1].StartOffset,
                "Epochs grow along the log.");
        }
    }

    public ReadOnlySpan<EpochStart> Entries => CollectionsMarshal.AsSpan(_entries);

    public int Latest => _entries.Count == 0 ? RecordBatchHeader.NoLeaderEpoch : _entries[^1].Epoch;

    /// <summary>A batch of an epoch begins at an offset; only the first of an epoch counts.</summary>
    public void Add(int epoch, long offset)
    {
        if (epoch > Latest)
        {
            Debug.Assert(_entries.Count == 0 || offset >= _entries[^1].StartOffset, "Epochs and their start offsets grow together.");
            _entries.Add(new EpochStart(epoch, offset));
        }
    }

    /// <summary>See <see cref="IPartitionLog.EpochEnd"/>.</summary>
    public LogEpochEnd End(int epoch, long logEndOffset)
    {
        if (epoch < 0 || epoch > Latest)
        {
            return new LogEpochEnd(-1, -1);
        }

        int next = _entries.FindIndex(entry => entry.Epoch > epoch);
        return next < 0
            ? new LogEpochEnd(epoch, logEndOffset)
            : new LogEpochEnd(next == 0 ? epoch : _entries[next - 1].Epoch, _entries[next].StartOffset);
    }

    /// <summary>Forgets the epochs that begin at or after an offset.</summary>
    public void TruncateTo(long offset) => _entries.RemoveAll(entry => entry.StartOffset >= offset);

    /// <summary>The log begins at an offset now: earlier epochs go, the one in force there begins there.</summary>
    public void AdvanceStart(long logStartOffset)
    {
        int current = _entries.FindLastIndex(entry => entry.StartOffset <= logStartOffset);
        if (current >= 0)
        {
            _entries.RemoveRange(0, current);
            _entries[0] = _entries[0] with { StartOffset = logStartOffset };
        }
    }
}
