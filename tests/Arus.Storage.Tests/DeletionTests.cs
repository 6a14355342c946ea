namespace Arus.Storage.Tests;

public sealed class DeletionTests
{
    private static readonly Guid s_topic = new("00000000-0000-0000-0000-000000000001");
    private static readonly Guid s_other = new("00000000-0000-0000-0000-000000000002");

    [Fact]
    public async Task A_log_that_a_newer_opening_closed_still_deletes_what_it_holds()
    {
        await using var fixture = new LogFixture();
        IPartitionLog older = await fixture.OpenAsync(topicId: s_topic);
        await older.MustAppendAsync(Batches.Of("a"));
        IPartitionLog newer = await fixture.OpenAsync(topicId: s_topic);
        await newer.MustAppendAsync(Batches.Of("b"), epoch: 2);
        await older.DeleteAsync();
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));
        Assert.Equal(0, fixture.Provider!.OpenLogs);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await newer.AppendOneAsync(Batches.Of("c"), epoch: 2)).Error);
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));

        IPartitionLog again = await fixture.OpenAsync(topicId: s_topic);
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
        IPartitionLog log = await fixture.OpenAsync(topicId: s_topic);
        await log.MustAppendAsync(Batches.Of("a"));
        await log.DisposeAsync();
        await fixture.Provider!.DeleteAsync(LogFixture.Partition, s_other);
        Assert.Equal(["a"], await (await fixture.OpenAsync(topicId: s_topic)).ReadValuesAsync());
        await fixture.Provider.DeleteAsync(LogFixture.Partition, s_topic);
        Assert.False(fixture.FileSystem.DirectoryExists(fixture.Directory));
        await fixture.Provider.DeleteAsync(LogFixture.Partition, s_topic);
        Assert.Equal(0, fixture.Provider.OpenLogs);
    }

    [Fact]
    public async Task A_log_of_a_topic_made_anew_survives_the_late_deletion_of_the_old_one()
    {
        await using var fixture = new LogFixture();
        IPartitionLog old = await fixture.OpenAsync(topicId: s_topic);
        await old.MustAppendAsync(Batches.Of("old"));
        IPartitionLog anew = await fixture.OpenAsync(topicId: s_other);
        await anew.MustAppendAsync(Batches.Of("new"));
        await old.DeleteAsync();
        Assert.Equal(["new"], await (await fixture.OpenAsync(topicId: s_other)).ReadValuesAsync());
    }

    /// <summary>The seed decides what is asked and in which order the log's work runs; the pool, when closings and openings go on.</summary>
    [Fact]
    public async Task Deletions_and_openings_at_once_leave_what_the_last_of_them_wants()
    {
        for (int seed = 0; seed < 200; seed++)
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
                        Task<IPartitionLog> opening = machine.Provider.OpenAsync(Machine.Partition, Guid.Empty, LogExtensions.Config()).AsTask();
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
            await SettleAsync(machine, random, Task.WhenAll(pending));
            Assert.False(machine.Disk.DirectoryExists(machine.Directory), $"Seed {seed}: the directory is there.");
            Assert.True(machine.Provider.OpenLogs == 0, $"Seed {seed}: a log is open.");
        }
    }

    /// <summary>Runs what is queued in any order; what the scheduler's work wakes goes on in the pool and queues more.</summary>
    private static async Task SettleAsync(Machine machine, Random random, Task task)
    {
        while (!task.IsCompleted)
        {
            if (!machine.Scheduler.RunOne(random))
            {
                await Task.Yield();
            }
        }

        await task;
        machine.Scheduler.RunAll();
    }
}
