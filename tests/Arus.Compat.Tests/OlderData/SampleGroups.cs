using Arus.Protocol;

namespace Arus.Compat.Tests.OlderData;

/// <summary>Groups in the states in which a stopping broker leaves them.</summary>
internal sealed class SampleGroups(int port, WireClient wire)
{
    private const string Members = "members";
    private const string Strategy = "range";

    public async Task WriteAsync(string topic)
    {
        await CommitAsync("offsets only", topic, -1, "", "by hand", null, "größe");
        using WireClient second = await WireClient.ConnectAsync(port);
        await FormAsync(second, topic);
    }

    /// <summary>Two members, one of them static, with an assignment each and offsets, who never leave.</summary>
    private async Task FormAsync(WireClient second, string topic)
    {
        JoinGroupRequest dynamic = Join(topic, null);
        JoinGroupResponse refused = await wire.CallAsync<JoinGroupResponse>(dynamic, version: 7);
        Assert.Equal(ErrorCode.MemberIdRequired, refused.ErrorCode);
        dynamic.MemberId = refused.MemberId;
        JoinGroupResponse alone = await wire.CallAsync<JoinGroupResponse>(dynamic, version: 7);
        Assert.Equal((ErrorCode.None, alone.MemberId), (alone.ErrorCode, alone.Leader));
        await SyncAsync(wire, alone, null, [(alone.MemberId, Assignment(topic, 0, 1, 2))]);

        Task<JoinGroupResponse> joining = second.CallAsync<JoinGroupResponse>(Join(topic, "static-1"), version: 7);
        var heartbeat = new HeartbeatRequest { GroupId = Members, GenerationId = alone.GenerationId, MemberId = alone.MemberId };
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while ((await wire.CallAsync<HeartbeatResponse>(heartbeat, version: 4)).ErrorCode != ErrorCode.RebalanceInProgress)
            await Task.Delay(10, deadline.Token);

        JoinGroupResponse leader = await wire.CallAsync<JoinGroupResponse>(dynamic, version: 7);
        JoinGroupResponse follower = await joining;
        Assert.Equal((ErrorCode.None, ErrorCode.None, 2), (leader.ErrorCode, follower.ErrorCode, leader.Members.Length));
        await SyncAsync(
            wire, leader, null, [(leader.MemberId, Assignment(topic, 0, 2)), (follower.MemberId, Assignment(topic, 1))]);
        await SyncAsync(second, follower, "static-1", []);
        await CommitAsync(Members, topic, leader.GenerationId, leader.MemberId, "", "half", null);
    }

    private static JoinGroupRequest Join(string topic, string? instance) => new()
    {
        GroupId = Members,
        SessionTimeoutMs = 1_800_000,
        RebalanceTimeoutMs = 60_000,
        MemberId = "",
        GroupInstanceId = instance,
        ProtocolType = "consumer",
        Protocols = [new() { Name = Strategy, Metadata = Subscription(topic) }],
    };

    private static async Task SyncAsync(
        WireClient wire, JoinGroupResponse joined, string? instance, (string Member, byte[] Assignment)[] assignments)
    {
        SyncGroupResponse synced = await wire.CallAsync<SyncGroupResponse>(
            new SyncGroupRequest
            {
                GroupId = Members,
                GenerationId = joined.GenerationId,
                MemberId = joined.MemberId,
                GroupInstanceId = instance,
                ProtocolType = "consumer",
                ProtocolName = Strategy,
                Assignments =
                [
                    .. assignments.Select(one => new SyncGroupRequest.SyncGroupRequestAssignment
                    {
                        MemberId = one.Member,
                        Assignment = one.Assignment,
                    }),
                ],
            },
            version: 5);
        Assert.Equal(ErrorCode.None, synced.ErrorCode);
    }

    private async Task CommitAsync(string group, string topic, int generation, string member, params string?[] metadata)
    {
        OffsetCommitResponse committed = await wire.CallAsync<OffsetCommitResponse>(
            new OffsetCommitRequest
            {
                GroupId = group,
                GenerationIdOrMemberEpoch = generation,
                MemberId = member,
                Topics =
                [
                    new()
                    {
                        Name = topic,
                        Partitions =
                        [
                            .. metadata.Select((text, partition) => new OffsetCommitRequest.OffsetCommitRequestPartition
                            {
                                PartitionIndex = partition,
                                CommittedOffset = 3 + partition,
                                CommittedLeaderEpoch = partition - 1,
                                CommittedMetadata = text,
                            }),
                        ],
                    },
                ],
            },
            version: 8);
        Assert.All(committed.Topics[0].Partitions, partition => Assert.Equal(ErrorCode.None, partition.ErrorCode));
    }

    /// <summary>Version 0 of Kafka's consumer protocol: the topics, no user data.</summary>
    private static byte[] Subscription(string topic) => [0, 0, 0, 0, 0, 1, .. Text(topic), 255, 255, 255, 255];

    private static byte[] Assignment(string topic, params byte[] partitions) =>
    [
        0, 0, 0, 0, 0, 1, .. Text(topic),
        0, 0, 0, (byte)partitions.Length, .. partitions.SelectMany(p => new byte[] { 0, 0, 0, p }), 255, 255, 255, 255,
    ];

    private static byte[] Text(string text) => [0, (byte)text.Length, .. System.Text.Encoding.ASCII.GetBytes(text)];
}
