
namespace Arus;

/// <summary>
/// A refusal that carries an <see cref="ErrorCode"/>. Administrative grain calls throw it; calls on the data path answer with
/// the code instead, since an exception costs more than a batch.
/// </summary>
[GenerateSerializer, Alias("arus.Exception")]
public class ArusException : Exception
{
    public ArusException(ErrorCode code, string message) : base(message) => Code = code;

    public ArusException(ErrorCode code, string message, Exception? innerException) : base(message, innerException) => Code = code;

    /// <summary>What was refused, in the protocol's vocabulary.</summary>
    [Id(0)]
    public ErrorCode Code { get; private set; }
}
