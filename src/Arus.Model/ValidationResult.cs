namespace Arus;

/// <summary>The result of a validation: OK, or an error code and a message for people. Hot paths return it instead of throwing.</summary>
/// <param name="Error"><see cref="ErrorCode.None"/> when it is OK.</param>
/// <param name="Message">Null when it is OK.</param>
public readonly record struct ValidationResult(ErrorCode Error, string? Message)
{
    public static ValidationResult Ok => default;

    public bool IsOk => Error == ErrorCode.None;

    internal static ValidationResult Corrupt(string message) => new(ErrorCode.CorruptMessage, message);

    internal static ValidationResult Invalid(string message) => new(ErrorCode.InvalidRecord, message);
}
