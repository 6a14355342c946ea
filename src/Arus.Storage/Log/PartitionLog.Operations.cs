namespace Arus.Storage;

/// <content>
/// Everything but appending that changes the log. It runs on the I/O thread, after what was queued is written, and holds the append
/// lock, so that nothing changes under it.
/// </content>
internal sealed partial class PartitionLog
{
    public ValueTask FlushAsync() =>
        new(Run(() =>
        {
            if (_segments.Count > 0 && (_dirty || _recovery.Offset != _nextOffset))
            {
                WriteCurrentCheckpoint();
            }

            return true;
        }));

    public ValueTask<LogDeleteResult> DeleteRecordsAsync(long beforeOffset) =>
        new(Run(() =>
        {
            long target = beforeOffset == -1 ? _highWatermark : beforeOffset;
            if (target < 0 || target > _highWatermark)
            {
                return new LogDeleteResult(ErrorCode.OffsetOutOfRange, -1);
            }

            if (target > _logStart)
            {
                lock (_stateLock)
                {
                    Volatile.Write(ref _logStart, target);
                    _epochs.AdvanceStart(target);
                }

                // First the new start, durably; that the files go is housekeeping, which retention repeats.
                WriteCurrentCheckpoint();
                DeleteSegments(_segments.TakeWhile((segment, i) => i + 1 < _segments.Count && segment.NextOffset <= target).Count());
            }

            return new LogDeleteResult(ErrorCode.None, _logStart);
        }));

    public async ValueTask DisposeAsync()
    {
        lock (_appendLock)
        {
            _closed ??= CloseAsync(delete: false);
        }

        await _closed.ConfigureAwait(false);
    }

    public async ValueTask DeleteAsync()
    {
        lock (_appendLock)
        {
            _deletes |= _closed is null;
            _closed ??= CloseAsync(delete: true);
        }

        await _closed.ConfigureAwait(false);
        if (!_deletes)
        {
            // Closed without deleting, as when a newer activation opens the log: what the directory holds now goes.
            await _deleteClosed().ConfigureAwait(false);
        }
    }

    /// <summary>Completes when the log is closed, which somebody else began.</summary>
    public Task Closed
    {
        get
        {
            lock (_appendLock)
            {
                return _closed ?? Task.CompletedTask;
            }
        }
    }

    private async Task CloseAsync(bool delete)
    {
        // The caller holds the append lock: from here on, nothing is taken in.
        _phase = LogPhase.Closing;
        try
        {
            await Run(
                () =>
                {
                    try
                    {
                        Close(delete);
                    }
                    finally
                    {
                        Release();
                    }

                    return true;
                },
                evenIfFailed: true).ConfigureAwait(false);
        }
        finally
        {
            _onClosed(this);
        }
    }

    private void Close(bool delete)
    {
        if (delete)
        {
            lock (_metaLock)
            {
                _phase = LogPhase.Closed;
                _segments.ForEach(segment => segment.File.Retire());
                DirectoryRemoval.Remove(_shared, _directory);
            }
        }
        else if (_failure is null && _segments.Count > 0 && (_recovery.Offset != _nextOffset || _dirty))
        {
            try
            {
                WriteCurrentCheckpoint();
            }
            catch (Exception error)
            {
                // Reported; what was acknowledged is on the disk, and recovery finds it without the checkpoint.
                Fail(error);
            }
        }
    }

    /// <summary>Lets go of everything that is held.</summary>
    private void Release()
    {
        lock (_metaLock)
        {
            _phase = LogPhase.Closed;
        }

        _segments.ForEach(segment => segment.File.Retire());
        _cache.Clear();
        _flushTimer?.Dispose();
        _waiters.Close();
    }

    private void RunOperations()
    {
        while (TakeOperation() is { } operation)
        {
            lock (_appendLock)
            {
                WritePending();
                operation.Execute(this);
            }
        }

        _waiters.Advance(HighWatermark);
    }

    private Operation? TakeOperation()
    {
        lock (_operationsLock)
        {
            return _operations is not null && _operations.TryDequeue(out Operation? operation) ? operation : null;
        }
    }

    /// <summary>Runs an action on the I/O thread. An I/O error in it fails the log.</summary>
    private Task<T> Run<T>(Func<T> action, bool evenIfFailed = false)
    {
        var operation = new Operation<T>(action, evenIfFailed);
        lock (_operationsLock)
        {
            (_operations ??= new Queue<Operation>()).Enqueue(operation);
        }

        ScheduleIo();
        return operation.Task;
    }

    private abstract class Operation
    {
        public abstract void Execute(PartitionLog log);
    }

    private sealed class Operation<T>(Func<T> action, bool evenIfFailed) : Operation
    {
        private readonly TaskCompletionSource<T> _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<T> Task => _source.Task;

        public override void Execute(PartitionLog log)
        {
            if (!evenIfFailed && (log._failure is not null || log._phase == LogPhase.Closed))
            {
                string reason = log._failure is { } failure ? $"failed: {failure.Message}" : "is closed.";
                _source.SetException(new LogException($"The log of {log.Partition} {reason}", log._failure));
                return;
            }

            try
            {
                _source.SetResult(action());
            }
            catch (Exception error)
            {
                log.Fail(error);
                _source.SetException(error as LogException ?? new LogException($"The log in {log._directory} failed: {error.Message}", error));
            }
        }
    }
}
