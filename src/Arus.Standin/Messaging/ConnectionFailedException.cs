namespace Orleans.Runtime.Messaging;

/// <summary>No connection could be made to a silo or gateway.</summary>
[GenerateSerializer]
public class ConnectionFailedException : OrleansException
{
    public ConnectionFailedException()
    {
    }

    public ConnectionFailedException(string message)
        : base(message)
    {
    }

    public ConnectionFailedException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}
