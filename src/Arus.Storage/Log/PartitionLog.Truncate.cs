namespace Arus.Storage;

/// <content>Cutting the log's end.</content>
internal sealed partial class PartitionLog
{
    public ValueTask TruncateToAsync(long offset)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        return new ValueTask(Run(() =>
        {
            if (offset < _nextOffset)
            {
                Truncate(offset);
            }

            return true;
        }));
    }

    private void Truncate(long offset)
    {
        lock (_metaLock)
        {
            _generation++;
            (int index, int position, long end) = FindCut(offset);
            ProducerStates producers = RebuildProducers(index, end);
            foreach ((long id, _) in _producers.All.ToArray())
            {
                _producers.Set(id, null);
            }

            foreach ((long id, ProducerState state) in producers.All)
            {
                _producers.Set(id, state);
            }

            lock (_stateLock)
            {
                _epochs.TruncateTo(end);
                Volatile.Write(ref _nextOffset, end);
                Volatile.Write(ref _highWatermark, Math.Min(_highWatermark, end));
                Volatile.Write(ref _logStart, Math.Min(_logStart, end));
                _cleanedOffset = Math.Min(_cleanedOffset, end);
                _cursor = default;
            }

            CutFiles(index, position, end);
            _cache.Clear();
            Segment active = _segments[^1];
            (_activeSize, _activeFirstMs, _activeBase, _sinceCheckpoint) = (active.Size, active.FirstAppendMs, active.BaseOffset, 0);
            RemoveSnapshotsAfter(end);
            WriteCurrentCheckpoint();
        }
    }

    /// <summary>The segment that keeps its beginning (-1 for none), how much of it stays, and where the log ends then.</summary>
    private (int Index, int Position, long End) FindCut(long offset)
    {
        int index = _segments.Count - 1;
        while (index >= 0 && _segments[index].BaseOffset >= offset)
        {
            index--;
        }

        if (index < 0)
        {
            return (-1, 0, offset);
        }

        Segment segment = _segments[index];
        (long end, int position) = (segment.BaseOffset, 0);
        using var scanner = new SegmentScanner(segment.File, 0, segment.Size);
        while (scanner.Next(out ReadOnlyMemory<byte> batch, out _) == BatchReadStatus.Batch)
        {
            var header = new RecordBatchHeader(batch.Span);
            if (header.NextOffset > offset)
            {
                return (index, position, position == 0 ? segment.BaseOffset : end);
            }

            (end, position) = (header.NextOffset, (int)scanner.Position);
        }

        return (index, position, end);
    }

    private void CutFiles(int index, int position, long end)
    {
        List<Segment> removed = _segments[(index + 1)..];
        lock (_stateLock)
        {
            _segments.RemoveRange(index + 1, removed.Count);
        }

        foreach (Segment segment in removed)
        {
            RemoveFiles(segment);
        }

        if (index < 0)
        {
            AddSegment(end);
        }
        else
        {
            Segment active = _segments[index];
            active.File.SetLength(position);
            active.File.Flush();
            Reload(active, position);
        }

        _shared.FileSystem.SyncDirectory(_directory);
        lock (_stateLock)
        {
            Volatile.Write(ref _sizeBytes, _segments.Sum(segment => (long)segment.Size));
        }
    }

    /// <summary>Makes the index and the sums of a segment that was cut.</summary>
    private void Reload(Segment segment, int size)
    {
        var fresh = new Segment(_directory, segment.BaseOffset, _shared.Files, new SegmentIndex(Config.IndexIntervalBytes));
        using (var scanner = new SegmentScanner(fresh.File, 0, size))
        {
            while (scanner.Next(out ReadOnlyMemory<byte> batch, out _) == BatchReadStatus.Batch)
            {
                var header = new RecordBatchHeader(batch.Span);
                fresh.Add(header.BaseOffset, header.NextOffset, batch.Length, header.MaxTimestamp, Math.Min(_shared.NowMs, header.MaxTimestamp));
            }
        }

        segment.File.Retire();
        lock (_stateLock)
        {
            _segments[_segments.IndexOf(segment)] = fresh;
        }
    }

    /// <summary>The producers as they were at an offset: from the last snapshot before it and the batches since.</summary>
    private ProducerStates RebuildProducers(int lastSegment, long end)
    {
        var producers = new ProducerStates();
        long from = 0;
        foreach (long offset in ListSnapshots().Where(offset => offset <= end).OrderDescending())
        {
            byte[]? content = DurableFile.Read(
                _shared.FileSystem, Segment.PathOf(_directory, offset, Segment.SnapshotSuffix), ProducerSnapshot.Magic, ProducerSnapshot.Version, out _);
            if (content is not null && ProducerSnapshot.Deserialize(content) is { } snapshot)
            {
                (producers, from) = (snapshot, offset);
                break;
            }
        }

        for (int i = 0; i <= lastSegment; i++)
        {
            Segment segment = _segments[i];
            if (segment.NextOffset <= from)
            {
                continue;
            }

            using var scanner = new SegmentScanner(segment.File, 0, segment.Size);
            while (scanner.Next(out ReadOnlyMemory<byte> batch, out _) == BatchReadStatus.Batch)
            {
                var header = new RecordBatchHeader(batch.Span);
                if (header.HasProducerId && header.BaseOffset >= from && header.NextOffset <= end)
                {
                    producers.Add(header, header.BaseOffset, _shared.NowMs);
                }
            }
        }

        return producers;
    }

    private void RemoveSnapshotsAfter(long end)
    {
        foreach (long offset in ListSnapshots().Where(offset => offset > end).ToArray())
        {
            _shared.FileSystem.DeleteFile(Segment.PathOf(_directory, offset, Segment.SnapshotSuffix));
        }
    }
}
