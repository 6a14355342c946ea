using System.Buffers;

namespace Arus.Client;

/// <summary>
/// Turns keys or values into bytes and back. Implementations are safe for concurrent use. Null never reaches them: a null key or
/// value is a null on the log, and comes back as <c>default</c>.
/// </summary>
public interface IRecordSerializer<T>
{
    /// <summary>Writes <paramref name="value"/> to <paramref name="destination"/>.</summary>
    void Serialize(T value, IBufferWriter<byte> destination);

    /// <summary>Reads a value.</summary>
    /// <param name="data">Valid for good, so it may be kept: it is a slice of what was fetched, and keeps all of that in memory.</param>
    T Deserialize(ReadOnlyMemory<byte> data);
}
