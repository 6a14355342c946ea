using System.Buffers;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;

namespace Arus.Kafka;

/// <summary>
/// Gives Kestrel's connections large blocks: its own are 4 KiB, and a megabyte of records would take 256 system calls. Idle connections
/// hold none, since Kestrel waits for data before it takes a block.
/// </summary>
internal sealed class TransportMemoryPoolFactory(TransportMemoryPool pool) : IMemoryPoolFactory<byte>
{
    // One pool for all of Kestrel's I/O queues: blocks are few and large.
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => pool;
}

/// <summary>Pinned blocks of one size; a bounded number is kept while they are needed. Safe for use by any thread.</summary>
internal sealed class TransportMemoryPool : MemoryPool<byte>
{
    internal const int BlockSize = 64 * 1024;
    internal const int MaxKept = 256;

    private readonly TrimmedStack<Block> _kept = new(MaxKept);

    public override int MaxBufferSize => BlockSize;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockSize);
        return (_kept.TryPop(out Block? block) ? block : new Block(this)).Rent();
    }

    /// <summary>Lets go the blocks that were not needed since the last call.</summary>
    public void Trim() => _kept.Trim();

    // Kestrel disposes of its pools when it stops; this one lives as long as the process.
    protected override void Dispose(bool disposing)
    {
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
                pool._kept.Push(this);
        }
    }
}
