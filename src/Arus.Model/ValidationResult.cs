namespace Arus;

/// <summary>What a check found: nothing wrong, or a code and a message for a person. Checks on hot paths answer it instead of throwing.</summary>
/// <param name="Error"><see cref="ErrorCode.None"/> when nothing was wrong.</param>
/// <param name="Message">Null when nothing was wrong.</param>
public readonly record struct ValidationResult(ErrorCode Error, string? Message)
{
    public static ValidationResult Ok => default;

    public bool IsOk => Error == ErrorCode.None;

    internal static ValidationResult Corrupt(string message) => new(ErrorCode.CorruptMessage, message);

    internal static ValidationResult Invalid(string message) => new(ErrorCode.InvalidRecord, message);
}
