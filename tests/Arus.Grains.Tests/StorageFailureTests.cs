using System.Data.Common;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains.Tests;

public sealed class StorageFailureTests
{
    private static readonly IOException Disk = new("No space left on device");

    public static TheoryData<bool, Exception> Failures => new()
    {
        { true, Disk },
        { true, new UnauthorizedAccessException("Access to the path is denied.") },
        { true, new DatabaseException() },
        { true, new CorruptGrainStateException("/metadata/topic", "its CRC-32C is wrong") },
        { true, new OrleansException("Error from storage provider arus during ReadState", Disk) },
        { true, new OrleansException("Error from storage provider arus during ReadState", new TimeoutException("a lock")) },
        { true, new AggregateException(new OrleansException("Error from storage provider arus during WriteState", Disk)) },

        // The time limit of the call, not of the storage.
        { false, new TimeoutException() },

        // The network's failure, although it is one of input and output.
        { false, new SiloUnavailableException("The silo is gone.", Disk) },
        { false, new InconsistentStateException("raced") },
        { false, new ArusException(ErrorCode.InvalidGroupId, "no") },
        { false, new InvalidOperationException("a bug", Disk) },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public void Failures_of_the_storage_are_told_from_others_also_inside_a_wrapper(bool expected, Exception failure) =>
        Assert.Equal(expected, StorageFailure.Is(failure));

    [Theory]
    [InlineData(8, false)]
    [InlineData(7, true)]
    public void Wrappers_are_looked_through_to_a_bound(int wrappers, bool expected)
    {
        Exception failure = Disk;
        for (int i = 0; i < wrappers; i++)
            failure = new AggregateException(failure);

        Assert.Equal(expected, StorageFailure.Is(failure));
    }

    private sealed class DatabaseException : DbException;
}
