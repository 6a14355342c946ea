using Arus.Storage;

namespace Arus.Grains.Tests;

/// <summary>
/// Two activations of one partition in one process: the newer leader epoch has the log, in whatever order they come to it.
/// </summary>
public sealed class LocalPartitionsTests : IAsyncLifetime
{
    private static readonly TopicPartition Partition = new("topic", 0);

    private readonly Guid _topicId = Guid.NewGuid();
    private readonly GatedProvider _provider = new();
    private readonly BrokerMetrics _metrics = new(TimeProvider.System);
    private readonly List<int> _told = [];
    private readonly LocalPartitions _local;

    public LocalPartitionsTests() => _local = new LocalPartitions(_provider, _metrics);

    [Fact]
    public async Task An_older_epoch_than_the_open_one_is_refused()
    {
        PartitionClaim newer = Claim(6)!;
        Assert.True(await OpenAsync(newer));

        Assert.Null(Claim(5));

        Assert.False(newer.IsSuperseded);
        Assert.Equal(ErrorCode.None, (await newer.Log!.ReadAsync(0, 1_000, minOneBatch: true)).Error);
        Assert.Empty(_told);
    }

    [Fact]
    public async Task A_newer_epoch_takes_the_log_and_the_older_one_is_told()
    {
        PartitionClaim older = Claim(5)!;
        Assert.True(await OpenAsync(older));
        PartitionClaim newer = Claim(6)!;
        Assert.True(older.IsSuperseded);
        Assert.True(older.WaitsEnded.IsCancellationRequested);
        Assert.Equal([5], _told);
        Assert.True(await OpenAsync(newer));
        Assert.Equal(ErrorCode.None, (await newer.Log!.ReadAsync(0, 1_000, minOneBatch: true)).Error);

        // The older one's goodbye leaves the newer one's log alone.
        await older.CloseAsync();
        Assert.Same(newer, Assert.Single(_local.Claims));
        Assert.Equal(ErrorCode.None, (await newer.Log!.ReadAsync(0, 1_000, minOneBatch: true)).Error);
    }

    [Fact]
    public async Task An_older_epoch_that_is_opening_when_the_newer_one_comes_does_not_keep_the_log()
    {
        TaskCompletionSource gate = _provider.HoldNext();
        PartitionClaim older = Claim(5)!;
        Task<bool> olderOpens = OpenAsync(older);
        PartitionClaim newer = Claim(6)!;
        Task<bool> newerOpens = OpenAsync(newer);

        // The provider lets whoever opens last have the log, so the newer one must not ask it before the older one is through.
        Assert.Equal(1, _provider.Asked);
        Assert.False(newerOpens.IsCompleted);
        gate.SetResult();

        Assert.False(await olderOpens);
        Assert.True(await newerOpens);
        Assert.Equal(ErrorCode.None, (await newer.Log!.ReadAsync(0, 1_000, minOneBatch: true)).Error);
        Assert.Equal(ErrorCode.NotLeaderOrFollower, (await older.Log!.ReadAsync(0, 1_000, minOneBatch: true)).Error);
        Assert.Same(newer, Assert.Single(_local.Claims));
    }

    [Fact]
    public async Task An_older_epoch_that_has_claimed_and_not_opened_yet_opens_nothing()
    {
        PartitionClaim older = Claim(5)!;
        PartitionClaim newer = Claim(6)!;
        Assert.True(await OpenAsync(newer));
        Assert.False(await OpenAsync(older));
        Assert.Equal(1, _provider.Asked);
        Assert.Equal(ErrorCode.None, (await newer.Log!.ReadAsync(0, 1_000, minOneBatch: true)).Error);
    }

    [Fact]
    public async Task Who_comes_third_waits_for_the_first_one_although_the_second_never_opened()
    {
        TaskCompletionSource gate = _provider.HoldNext();
        Task<bool> first = OpenAsync(Claim(5)!);
        PartitionClaim second = Claim(6)!;
        Task<bool> third = OpenAsync(Claim(7)!);
        Assert.False(third.IsCompleted);
        gate.SetResult();
        Assert.Equal((false, false, true), (await first, await OpenAsync(second), await third));
        Assert.Equal([5, 6], _told);
    }

    [Fact]
    public async Task A_claim_that_cannot_be_opened_is_given_up()
    {
        _provider.Failure = new LogException("The disk is gone.");
        await Assert.ThrowsAsync<LogException>(() => OpenAsync(Claim(5)!));
        Assert.Empty(_local.Claims);
        _provider.Failure = null;
        Assert.True(await OpenAsync(Claim(5)!));
    }

    [Fact]
    public async Task A_topic_that_was_created_again_begins_with_its_epochs_anew()
    {
        Assert.True(await OpenAsync(Claim(6)!));
        PartitionClaim recreated = _local.TryClaim(Partition, Guid.NewGuid(), 0, () => { })!;
        Assert.True(await OpenAsync(recreated));
    }

    [Fact]
    public async Task A_claim_whose_topic_is_deleted_opens_nothing_any_more()
    {
        PartitionClaim claim = Claim(5)!;
        await _local.DeleteAsync(Partition, _topicId);
        Assert.Equal([5], _told);
        Assert.False(await OpenAsync(claim));
        Assert.Equal(0, _provider.Asked);
        Assert.Empty(_local.Claims);
    }

    [Fact]
    public async Task A_late_deletion_leaves_the_log_of_the_topic_that_was_created_again()
    {
        PartitionClaim claim = Claim(5)!;
        Assert.True(await OpenAsync(claim));
        await _local.DeleteAsync(Partition, Guid.NewGuid());
        Assert.Empty(_told);
        Assert.False(claim.IsSuperseded);
        Assert.False(claim.WaitsEnded.IsCancellationRequested);
        Assert.Same(claim, Assert.Single(_local.Claims));
        Assert.Equal(ErrorCode.None, (await claim.Log!.ReadAsync(0, 1_000, minOneBatch: true)).Error);
    }

    [Fact]
    public async Task Who_claims_a_partition_while_it_is_deleted_opens_it_afterwards()
    {
        // The provider closes what is open before it deletes, whichever topic's log that is.
        TaskCompletionSource gate = _provider.HoldNextDeletion();
        Task deletion = _local.DeleteAsync(Partition, Guid.NewGuid());
        PartitionClaim claim = Claim(5)!;
        Task<bool> opens = OpenAsync(claim);
        Assert.Equal(0, _provider.Asked);
        gate.SetResult();
        await deletion;
        Assert.True(await opens);
        Assert.Same(claim, Assert.Single(_local.Claims));
        Assert.Equal(ErrorCode.None, (await claim.Log!.ReadAsync(0, 1_000, minOneBatch: true)).Error);
    }

    [Fact]
    public async Task A_deletion_that_fails_can_be_tried_again()
    {
        _provider.Failure = new LogException("The disk is gone.");
        await Assert.ThrowsAsync<LogException>(() => _local.DeleteAsync(Partition, _topicId));
        Assert.Empty(_local.Claims);
        _provider.Failure = null;
        await _local.DeleteAsync(Partition, _topicId);
        Assert.True(await OpenAsync(Claim(0)!));
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _provider.DisposeAsync();
        _metrics.Dispose();
    }

    private static Task<bool> OpenAsync(PartitionClaim claim) =>
        claim.OpenAsync(TopicConfig.Resolve(new Dictionary<string, string>(), BrokerConfig.Default), CancellationToken.None);

    private PartitionClaim? Claim(int epoch) => _local.TryClaim(Partition, _topicId, epoch, () => _told.Add(epoch));

    /// <summary>Logs in memory, whose opening the test can hold.</summary>
    private sealed class GatedProvider : IPartitionLogProvider
    {
        private readonly LogProvider _logs = LogProvider.InMemory();
        private TaskCompletionSource? _gate;
        private TaskCompletionSource? _deletionGate;

        public int Asked { get; private set; }

        public Exception? Failure { get; set; }

        public TaskCompletionSource HoldNext() => _gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource HoldNextDeletion() =>
            _deletionGate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        public async ValueTask<IPartitionLog> OpenAsync(
            TopicPartition partition, Guid topicId, TopicConfig config, int leaderEpoch = -1, LogReplication? replication = null,
            CancellationToken cancellationToken = default)
        {
            Asked++;
            if (Interlocked.Exchange(ref _gate, null) is { } gate)
                await gate.Task;

            return Failure is null
                ? await _logs.OpenAsync(partition, topicId, config, leaderEpoch, replication, cancellationToken)
                : throw Failure;
        }

        public async ValueTask DeleteAsync(TopicPartition partition, Guid topicId)
        {
            if (Interlocked.Exchange(ref _deletionGate, null) is { } gate)
                await gate.Task;

            await (Failure is null ? _logs.DeleteAsync(partition, topicId) : throw Failure);
        }

        public ValueTask DisposeAsync() => _logs.DisposeAsync();
    }
}
