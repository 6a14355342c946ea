namespace Arus;

/// <summary>
/// A refusal that carries an <see cref="ErrorCode"/>. Administrative grain calls throw it; calls on the data path answer with
/// the code instead, since an exception costs more than a batch.
/// </summary>
[GenerateSerializer, Alias("arus.Exception")]
public class ArusException(ErrorCode code, string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>What was refused, in the protocol's vocabulary.</summary>
    [Id(0)]
    public ErrorCode Code { get; private set; } = code;
}
