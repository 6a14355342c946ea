using Arus.Grains;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Client.Tests;

public sealed class GrainRetryTests
{
    [Fact]
    public void What_a_grain_was_stored_in_may_be_there_again_a_moment_later()
    {
        Assert.True(GrainRetry.IsTransient(new IOException("No space left on device")));
        Assert.True(GrainRetry.IsTransient(new OrleansException("Error from storage provider arus", new IOException("broken"))));
        Assert.True(GrainRetry.IsTransient(new InconsistentStateException("raced")));
        Assert.True(GrainRetry.IsTransient(new SiloUnavailableException("gone")));
    }

    [Fact]
    public void Repetition_mends_no_corrupt_file_and_no_bug()
    {
        Assert.False(GrainRetry.IsTransient(new CorruptGrainStateException("/metadata/topic", "its CRC-32C is wrong")));
        Assert.False(GrainRetry.IsTransient(new InvalidOperationException("a bug")));
        Assert.False(GrainRetry.IsTransient(new ArusException(ErrorCode.TopicAlreadyExists, "no")));
    }
}
