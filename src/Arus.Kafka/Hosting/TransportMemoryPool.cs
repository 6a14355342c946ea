using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;

namespace Arus.Kafka;

/// <summary>
/// Gives Kestrel's connections large blocks: its own are 4 KiB, and a megabyte of records would take 256 system calls. Idle connections
/// hold none, since Kestrel waits for data before it takes a block.
/// </summary>
internal sealed class TransportMemoryPoolFactory : IMemoryPoolFactory<byte>
{
    // One pool for all of Kestrel's I/O queues: blocks are few and large.
    private readonly TransportMemoryPool _pool = new();

    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => _pool;
}

/// <summary>Pinned blocks of one size; a bounded number is kept. Safe for use by any thread.</summary>
internal sealed class TransportMemoryPool : MemoryPool<byte>
{
    internal const int BlockSize = 64 * 1024;
    internal const int MaxKept = 256;

    private readonly ConcurrentQueue<Block> _kept = new();
    private int _keptCount;

    public override int MaxBufferSize => BlockSize;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockSize);
        if (!_kept.TryDequeue(out Block? block))
            return new Block(this).Rent();

        Interlocked.Decrement(ref _keptCount);
        return block.Rent();
    }

    // Kestrel disposes of the pools it asked for when it stops; this one lives as long as the process.
    protected override void Dispose(bool disposing)
    {
    }

    private void Return(Block block)
    {
        if (Interlocked.Increment(ref _keptCount) <= MaxKept)
            _kept.Enqueue(block);
        else
            Interlocked.Decrement(ref _keptCount);
    }

    private sealed class Block(TransportMemoryPool pool) : IMemoryOwner<byte>
    {
        private readonly byte[] _array = GC.AllocateUninitializedArray<byte>(BlockSize, pinned: true);
        private int _rented;

        public Memory<byte> Memory => MemoryMarshal.CreateFromPinnedArray(_array, 0, BlockSize);

        public Block Rent()
        {
            Volatile.Write(ref _rented, 1);
            return this;
        }

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _rented, 0) == 1)
                pool.Return(this);
        }
    }
}
