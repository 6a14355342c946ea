using Arus.Client;
using Arus.Coordination;
using Arus.Grains;
using Arus.Protocol;

namespace Arus.Cluster.Tests.Groups;

/// <summary>The group grain on a cluster: what is stored, how often, and what happens to one that lost its group.</summary>
public sealed class GroupGrainTests(GroupCluster cluster) : IClassFixture<GroupCluster>
{
    [Fact]
    public async Task Offsets_are_committed_read_and_deleted_and_the_group_is_listed_meanwhile()
    {
        IGroupGrain group = cluster.Group("plain");
        Assert.Equal(ErrorCode.GroupIdNotFound, (await DescribeAsync(group)).ErrorCode);
        Assert.Equal([ErrorCode.None, ErrorCode.None], await CommitAsync(group, Offset(0, 5), Offset(1, 6, "note")));

        Assert.Equal([Offset(1, 6, "note"), Offset(9, -1)], await FetchAsync(group, [new("t", 1), new("t", 9)]));
        Assert.Equal(2, (await FetchAsync(group, null)).Length);
        Assert.Contains("plain", await cluster.CatalogOf("plain").ListAsync());
        Assert.Equal("Empty", (await DescribeAsync(group)).GroupState);
        Assert.InRange((await group.LocateAsync()).BrokerId, 1, 2);

        OffsetDeleteResponse deleted = await group.DeleteOffsetsAsync(
            new OffsetDeleteRequest { GroupId = "plain", Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 0 }] }] });
        Assert.Equal(ErrorCode.None, Assert.Single(Assert.Single(deleted.Topics).Partitions).ErrorCode);
        Assert.Equal([Offset(1, 6, "note")], await FetchAsync(group, null));
        Assert.Equal(ErrorCode.None, (await group.DeleteAsync(new DeleteGroupsRequest { GroupsNames = ["plain"] })).Results[0].ErrorCode);
        Assert.Empty(await FetchAsync(group, null));
        Assert.DoesNotContain("plain", await cluster.CatalogOf("plain").ListAsync());
        Assert.Empty(cluster.Storage.RowsOf(group.GetGrainId()));
    }

    [Fact]
    public async Task A_topic_does_not_inherit_the_offsets_of_one_that_had_its_name()
    {
        IGroupGrain group = cluster.Group("heirs");
        await cluster.CreateTopicAsync("again");
        await CommitAsync(group, Again(0, 5), Again(1, 6), Offset(0, 7));
        await cluster.Topic("again").DeleteAsync();

        // Nobody asked the group while the topic was gone.
        await cluster.CreateTopicAsync("again");
        Assert.Equal([Again(0, -1), Offset(0, 7)], await FetchAsync(group, [new("again", 0), new("t", 0)]));
        Assert.Equal([Offset(0, 7)], await FetchAsync(group, null));

        Assert.Equal([ErrorCode.None], await CommitAsync(group, Again(1, 1)));
        Assert.Equal(2, (await FetchAsync(group, null)).Length);
        await cluster.Topic("again").DeleteAsync();
        Assert.Equal([Again(1, -1)], await FetchAsync(group, [new("again", 1)]));
        Assert.Equal([ErrorCode.UnknownTopicOrPartition], await CommitAsync(group, Again(1, 1)));
        Assert.Equal([Offset(0, 7)], await FetchAsync(group, null));
    }

    [Fact]
    public async Task A_commit_by_the_id_of_a_deleted_topic_does_not_reach_another_of_its_name()
    {
        IGroupGrain group = cluster.Group("late");
        Guid dead = (await cluster.CreateTopicAsync("twice")).Id;
        await cluster.Topic("twice").DeleteAsync();
        Guid present = (await cluster.CreateTopicAsync("twice")).Id;
        Assert.Equal(ErrorCode.None, await CommitByIdAsync(present, 5));
        Assert.Equal(ErrorCode.UnknownTopicId, await CommitByIdAsync(dead, 99));
        Assert.Equal(5, Assert.Single(await FetchAsync(group, null)).Offset);

        async Task<ErrorCode> CommitByIdAsync(Guid id, long offset)
        {
            var request = new OffsetCommitRequest
            {
                GroupId = "late",
                GenerationIdOrMemberEpoch = -1,
                Topics = [new() { Name = "twice", Partitions = [new() { CommittedOffset = offset }] }],
            };
            return (await group.CommitOffsetsAsync(request, -1, [id])).Topics[0].Partitions[0].ErrorCode;
        }
    }

    [Fact]
    public async Task Asking_about_a_group_that_is_not_stores_nothing()
    {
        IGroupGrain group = cluster.Group("never");
        await group.LocateAsync();
        await DescribeAsync(group);
        Assert.Equal([Offset(0, -1)], await FetchAsync(group, [new("t", 0)]));

        Assert.Empty(cluster.Storage.RowsOf(group.GetGrainId()));
    }

    [Fact]
    public async Task Looking_at_an_idle_group_writes_nothing_and_using_it_claims_it()
    {
        IGroupGrain group = cluster.Group("idle");
        var before = new GroupStore(cluster.Storage, group.GetGrainId(), Guid.NewGuid());
        long now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        await before.WriteAsync(new GroupRecords(
            false, new GroupMetadata { Generation = 3, ProtocolType = "consumer", EmptySinceMs = now },
            [new(new TopicPartition("t", 0), new StoredOffset(6, -1, "", now, -1))]));

        Assert.Equal(("Empty", 3), ((await DescribeAsync(group)).GroupState, (await group.LocateAsync()).GenerationId));
        Assert.True(await before.IsOwnerAsync());

        Assert.Equal([Offset(0, 6)], await FetchAsync(group, null));
        Assert.False(await before.IsOwnerAsync());
    }

    [Fact]
    public async Task Commits_that_come_during_a_write_share_the_next()
    {
        IGroupGrain group = cluster.Group("busy");
        await CommitAsync(group, Offset(0, 0));
        var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        cluster.Storage.Writes.Clear();
        cluster.Storage.BeforeWrite = name =>
        {
            reached.TrySetResult();
            return held.Task;
        };
        Task<OffsetCommitResponse> first = CommitByIdAsync(group, 0, 1);
        await reached.Task;
        Task<OffsetCommitResponse>[] others = [.. Enumerable.Range(2, 50).Select(i => CommitByIdAsync(group, i, i))];

        // A heartbeat is answered while they wait.
        HeartbeatResponse unknown = await group.HeartbeatAsync(new HeartbeatRequest { MemberId = "x", GenerationId = 1 });
        Assert.Equal(ErrorCode.UnknownMemberId, unknown.ErrorCode);
        Assert.All(others, commit => Assert.False(commit.IsCompleted));
        cluster.Storage.BeforeWrite = _ => Task.CompletedTask;
        held.SetResult();
        await first;
        await Task.WhenAll(others);

        // Orleans keeps no order between calls, so that a few may arrive after the second write began; each alone would make 51 writes.
        Assert.InRange(cluster.Storage.Writes.Count(name => name == "group-offsets-0"), 2, 10);
        Assert.Equal(
            Enumerable.Range(2, 50).Select(i => (long)i),
            (await FetchAsync(group, [.. Enumerable.Range(2, 50).Select(i => new TopicPartition("t", i))]))
                .Select(offset => offset.Offset));
    }

    [Fact]
    public async Task A_coordinator_that_lost_its_group_refuses_and_the_next_knows_all_that_was_acknowledged()
    {
        IGroupGrain group = cluster.Group("fenced");
        await CommitAsync(group, Offset(0, 5));

        // Another activation, elsewhere, takes the group and commits.
        long now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        var other = new GroupStore(cluster.Storage, group.GetGrainId(), Guid.NewGuid());
        await other.LoadAsync();
        await other.WriteAsync(new GroupRecords(
            false, null, [new(new TopicPartition("t", 0), new StoredOffset(6, -1, "", now, -1))]));

        ArusException refused = await Assert.ThrowsAsync<ArusException>(() => FetchAsync(group, [new("t", 0)]));
        Assert.Equal(ErrorCode.NotCoordinator, refused.Code);
        CommittedOffset[] read = await GroupCluster.RetryAsync(() => FetchAsync(group, [new("t", 0)]), _ => ErrorCode.None);
        Assert.Equal(6, read[0].Offset);
        Assert.False(await other.IsOwnerAsync());
    }

    [Fact]
    public async Task A_commit_whose_fate_is_unknown_is_refused_and_can_be_repeated()
    {
        IGroupGrain group = cluster.Group("broken");
        await CommitAsync(group, Offset(0, 5));
        cluster.Storage.BeforeWrite = name => name == "group-offsets-0" ? throw new IOException("the storage is gone") : Task.CompletedTask;
        ArusException refused = await Assert.ThrowsAsync<ArusException>(() => CommitAsync(group, Offset(0, 6)));
        Assert.Equal(ErrorCode.NotCoordinator, refused.Code);
        cluster.Storage.BeforeWrite = _ => Task.CompletedTask;

        ErrorCode[] again = await GroupCluster.RetryAsync(() => CommitAsync(group, Offset(0, 6)), errors => errors[0]);
        Assert.Equal([ErrorCode.None], again);
    }

    private static Task<ErrorCode[]> CommitAsync(IGroupGrain group, params CommittedOffset[] offsets) =>
        group.CommitOffsetsAsync(group.GetPrimaryKeyString(), GroupMessages.NoMember, offsets);

    private static Task<CommittedOffset[]> FetchAsync(IGroupGrain group, TopicPartition[]? partitions) =>
        group.FetchOffsetsAsync(group.GetPrimaryKeyString(), partitions);

    private static async Task<DescribeGroupsResponse.DescribedGroup> DescribeAsync(IGroupGrain group) =>
        (await group.DescribeAsync(new DescribeGroupsRequest { Groups = [group.GetPrimaryKeyString()] })).Groups[0];

    /// <summary>Without a look at the topic.</summary>
    private Task<OffsetCommitResponse> CommitByIdAsync(IGroupGrain group, int partition, long offset)
    {
        var request = new OffsetCommitRequest
        {
            GroupId = group.GetPrimaryKeyString(),
            GenerationIdOrMemberEpoch = -1,
            Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = partition, CommittedOffset = offset }] }],
        };
        return group.CommitOffsetsAsync(request, -1, [cluster.TopicId]);
    }

    private static CommittedOffset Again(int partition, long offset) =>
        Offset(partition, offset) with { Partition = new("again", partition) };

    private static CommittedOffset Offset(int partition, long offset, string metadata = "") =>
        new(new("t", partition), offset, -1, metadata);
}
