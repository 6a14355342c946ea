namespace Arus.Client.Tests;

/// <summary>What tests of the consumer share.</summary>
public abstract class ConsumerTestBase : IDisposable
{
    /// <summary>For polls whose end the test awaits; <see cref="Bound"/> ends one that hangs.</summary>
    protected static readonly TimeSpan Forever = Timeout.InfiniteTimeSpan;

    protected static readonly ConsumerOptions Plain = new() { RetryBackoff = TimeSpan.Zero, RetryBackoffMax = TimeSpan.Zero };
    protected static readonly ConsumerOptions Grouped = Plain with { GroupId = "g", AutoOffsetReset = AutoOffsetReset.Earliest };

    private readonly CancellationTokenSource _bound = new(TimeSpan.FromSeconds(30));

    protected CancellationToken Bound => _bound.Token;

    public void Dispose()
    {
        _bound.Dispose();
        GC.SuppressFinalize(this);
    }
}
