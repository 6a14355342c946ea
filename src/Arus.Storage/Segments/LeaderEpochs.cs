using System.Diagnostics;

namespace Arus.Storage;

/// <summary>Which leader epoch wrote which offsets (KIP-101). Both grow along the list. Guarded by its owner's lock.</summary>
internal sealed class LeaderEpochs
{
    public LeaderEpochs(params LogEpochStart[] entries)
    {
        Entries = entries;
        for (int i = 1; i < entries.Length; i++)
        {
            Debug.Assert(
                entries[i].Epoch > entries[i - 1].Epoch && entries[i].StartOffset >= entries[i - 1].StartOffset,
                "Epochs grow along the log.");
        }
    }

    /// <summary>A change replaces the array and leaves the old one as it is.</summary>
    public LogEpochStart[] Entries { get; private set; }

    public int Latest => Entries is [.., var last] ? last.Epoch : RecordBatchHeader.NoLeaderEpoch;

    public int Earliest => Entries is [var first, ..] ? first.Epoch : RecordBatchHeader.NoLeaderEpoch;

    /// <summary>A batch of an epoch begins at an offset; only the first of an epoch counts.</summary>
    public void Add(int epoch, long offset)
    {
        if (epoch > Latest)
        {
            Debug.Assert(Entries is [] || offset >= Entries[^1].StartOffset, "Epochs and their start offsets grow together.");
            Entries = [.. Entries, new LogEpochStart(epoch, offset)];
        }
    }

    /// <summary>See <see cref="IPartitionLog.EpochEnd"/>.</summary>
    public LogEpochEnd End(int epoch, long logEndOffset)
    {
        if (epoch == RecordBatchHeader.NoLeaderEpoch || epoch > Latest)
            return new LogEpochEnd(-1, -1);

        int next = Array.FindIndex(Entries, entry => entry.Epoch > epoch);
        return next < 0
            ? new LogEpochEnd(epoch, logEndOffset)
            : new LogEpochEnd(next == 0 ? epoch : Entries[next - 1].Epoch, Entries[next].StartOffset);
    }

    /// <summary>Forgets the epochs that begin at or after an offset.</summary>
    public void TruncateTo(long offset) => Entries = Array.FindAll(Entries, entry => entry.StartOffset < offset);

    /// <summary>The log begins at an offset now: earlier epochs go, the one in force there begins there.</summary>
    public void AdvanceStart(long logStartOffset)
    {
        int current = Array.FindLastIndex(Entries, entry => entry.StartOffset <= logStartOffset);
        if (current >= 0)
            Entries = [Entries[current] with { StartOffset = logStartOffset }, .. Entries[(current + 1)..]];
    }
}
