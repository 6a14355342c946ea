using Arus.Testing;

namespace Arus.Storage.Tests;

public sealed class DeletionTests
{
    private static readonly Guid Topic = new("00000000-0000-0000-0000-000000000001");
    private static readonly Guid OtherTopic = new("00000000-0000-0000-0000-000000000002");

    [Fact]
    public async Task A_log_that_a_newer_opening_closed_still_deletes_what_it_holds()
    {
        await using var fixture = new LogFixture();
        IPartitionLog older = await fixture.OpenAsync(topicId: Topic);
        await older.MustAppendAsync(Batches.Of("a"));
        IPartitionLog newer = await fixture.OpenAsync(topicId: Topic);
        await newer.MustAppendAsync(Batches.Of("b"), epoch: 2);
        await older.DeleteAsync();
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));
        Assert.Equal(0, fixture.Provider!.OpenLogs);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await newer.AppendOneAsync(Batches.Of("c"), epoch: 2)).Error);
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));

        IPartitionLog again = await fixture.OpenAsync(topicId: Topic);
        await again.MustAppendAsync(Batches.Of("d"));
        await older.DeleteAsync();
        await again.DeleteAsync();
        await again.DeleteAsync();
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));
    }

    [Fact]
    public async Task A_closed_log_is_deleted_by_its_provider_unless_it_is_another_topics()
    {
        await using var fixture = new LogFixture();
        IPartitionLog log = await fixture.OpenAsync(topicId: Topic);
        await log.MustAppendAsync(Batches.Of("a"));
        await log.DisposeAsync();
        await fixture.Provider!.DeleteAsync(LogFixture.Partition, OtherTopic);
        Assert.Equal(["a"], await (await fixture.OpenAsync(topicId: Topic)).ReadValuesAsync());
        await fixture.Provider.DeleteAsync(LogFixture.Partition, Topic);
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));
        await fixture.Provider.DeleteAsync(LogFixture.Partition, Topic);
        Assert.Equal(0, fixture.Provider.OpenLogs);
    }

    [Fact]
    public async Task A_log_of_a_topic_made_anew_survives_the_late_deletion_of_the_old_one()
    {
        await using var fixture = new LogFixture();
        IPartitionLog old = await fixture.OpenAsync(topicId: Topic);
        await old.MustAppendAsync(Batches.Of("old"));
        IPartitionLog anew = await fixture.OpenAsync(topicId: OtherTopic);
        await anew.MustAppendAsync(Batches.Of("new"));
        await old.DeleteAsync();
        Assert.Equal(["new"], await (await fixture.OpenAsync(topicId: OtherTopic)).ReadValuesAsync());
    }

    /// <summary>
    /// The seed decides what is asked and in which order the log's work runs; the pool decides when closings and openings go on.
    /// </summary>
    [Fact]
    public Task Deletions_and_openings_at_once_leave_what_the_last_of_them_wants() => Seeds.RunAsync(200, RaceAsync);

    private static async Task RaceAsync(int seed)
    {
        var random = new Random(seed);
        var machine = new Machine();
        IPartitionLog log = await machine.OpenAsync();
        await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("a")], 1));
        var logs = new List<Task<IPartitionLog>> { Task.FromResult(log) };
        var pending = new List<Task>();
        for (int step = 0; step < 12; step++)
        {
            switch (random.Next(6))
            {
                case 0:
                    Task<IPartitionLog> opening =
                        machine.Provider.OpenAsync(Machine.Partition, Guid.Empty, LogExtensions.Config()).AsTask();
                    logs.Add(opening);
                    pending.Add(opening);
                    break;
                case 1:
                    pending.Add(machine.Provider.DeleteAsync(Machine.Partition, Guid.Empty).AsTask());
                    break;
                case 2 when logs[random.Next(logs.Count)] is { IsCompletedSuccessfully: true } open:
                    pending.Add((await open).DisposeAsync().AsTask());
                    break;
                default:
                    machine.Scheduler.RunOne(random);
                    break;
            }
        }

        pending.Add(machine.Provider.DeleteAsync(Machine.Partition, Guid.Empty).AsTask());
        Task settled = Task.WhenAll(pending);
        await machine.Scheduler.RunUntilAsync(settled, random);
        await settled;
        machine.Scheduler.RunAll();
        Assert.False(machine.Disk.DirectoryExists(machine.Directory), "The directory is there.");
        Assert.True(machine.Provider.OpenLogs == 0, "A log is open.");
    }
}
