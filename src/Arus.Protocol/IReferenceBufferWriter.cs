using System.Buffers;

namespace Arus.Protocol;

/// <summary>An output that can keep a reference to bytes instead of a copy: record batches are not copied then.</summary>
public interface IReferenceBufferWriter : IBufferWriter<byte>
{
    /// <summary>Fewer bytes are better copied.</summary>
    int MinReference { get; }

    /// <summary>Takes bytes into the output, after what was written so far. They must stay as they are until the output was used.</summary>
    void AppendReference(ReadOnlyMemory<byte> bytes);
}
