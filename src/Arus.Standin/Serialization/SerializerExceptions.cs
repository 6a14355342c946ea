namespace Orleans.Serialization;

/// <summary>A value could not be serialized, or input could not be read.</summary>
[GenerateSerializer]
public class SerializerException : Exception
{
    public SerializerException()
    {
    }

    public SerializerException(string message) : base(message)
    {
    }

    public SerializerException(string message, Exception innerException) : base(message, innerException)
    {
    }
}

/// <summary>A type that nothing says how to serialize; the message names it and what to do.</summary>
[GenerateSerializer]
public sealed class CodecNotFoundException : SerializerException
{
    public CodecNotFoundException(string message) : base(message)
    {
    }
}

/// <summary>Stands for an exception whose type does not exist, or cannot be made, in the process that received it.</summary>
public sealed class UnavailableExceptionFallbackException : Exception
{
    public UnavailableExceptionFallbackException()
    {
    }

    public UnavailableExceptionFallbackException(string message, Exception innerException) : base(message, innerException)
    {
    }

    /// <summary>The name of the type that it was thrown as.</summary>
    public string? ExceptionType { get; internal set; }

    /// <inheritdoc/>
    public override string ToString() => string.IsNullOrWhiteSpace(ExceptionType)
        ? $"Unknown exception: {base.ToString()}"
        : $"Unknown exception of type {ExceptionType}: {base.ToString()}";
}
