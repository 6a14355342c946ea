namespace Orleans.Runtime;

/// <summary>Base of what the runtime itself throws.</summary>
[GenerateSerializer]
public class OrleansException : Exception
{
    public OrleansException()
        : base("Unexpected error.")
    {
    }

    public OrleansException(string message)
        : base(message)
    {
    }

    public OrleansException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>A silo refused a message: it is stopping, overloaded, or forwarded it too often.</summary>
[GenerateSerializer]
public class OrleansMessageRejectionException : OrleansException
{
    internal OrleansMessageRejectionException(string message)
        : base(message)
    {
    }

    internal OrleansMessageRejectionException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>The silo that was called is dead or cannot be reached. Whether the call took effect is not known.</summary>
[GenerateSerializer]
public sealed class SiloUnavailableException : OrleansMessageRejectionException
{
    public SiloUnavailableException()
        : base("SiloUnavailableException")
    {
    }

    public SiloUnavailableException(string msg)
        : base(msg)
    {
    }

    public SiloUnavailableException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>The client that was called, through an observer, is not connected.</summary>
[GenerateSerializer]
public sealed class ClientNotAvailableException : OrleansException
{
    internal ClientNotAvailableException(string message)
        : base(message)
    {
    }
}

/// <summary>A limit was exceeded, such as that of queued requests.</summary>
[GenerateSerializer]
public sealed class LimitExceededException : OrleansException
{
    public LimitExceededException()
        : base("Limit exceeded")
    {
    }

    public LimitExceededException(string message)
        : base(message)
    {
    }

    public LimitExceededException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>Options that contradict one another, or that do not fit the cluster.</summary>
[GenerateSerializer]
public sealed class OrleansConfigurationException : Exception
{
    public OrleansConfigurationException(string message)
        : base(message)
    {
    }

    public OrleansConfigurationException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}
