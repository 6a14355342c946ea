using Arus.Coordination.Replication;
using Arus.Testing;

namespace Arus.Grains.Tests;

public sealed class StatePollingTests
{
    private readonly ManualTimeProvider _time = new();
    private readonly InMemoryPartitionStateStore _store = new();
    private readonly PartitionImage _image = new();
    private readonly ListLogger<StatePolling> _logger = new();

    [Fact]
    public async Task A_database_that_has_gone_back_is_not_believed_and_named_once()
    {
        StatePolling polling = Polling();
        await _store.CreateAsync([New("a"), New("b")]);
        PartitionState led = await LeadAsync("a");
        Action restore = _store.BackUp();
        PartitionState lost = await LeadAsync("b");
        Assert.True(await PollAsync(polling));
        Assert.Equal(lost, _image.Newest);
        Action newer = _store.BackUp();

        restore();
        await _store.CreateAsync([New("c")]);
        for (int second = 0; second < 30; second++)
            Assert.False(await PollAsync(polling));

        Assert.Equal((led, lost), (_image.Find("a", 0), _image.Find("b", 0)));
        Assert.Null(_image.Find("c", 0));
        string line = Assert.Single(_logger.Lines);
        Assert.Contains("Critical: The database has gone back: it does not have change 4 any more, of b-0 in epoch 1", line);
        Assert.Contains("restore-metadata", line);

        newer();
        Assert.True(await PollAsync(polling));
        Assert.Equal(2, _logger.Lines.Count);
    }

    [Fact]
    public async Task States_that_were_purged_are_not_missed()
    {
        StatePolling polling = Polling();
        await _store.CreateAsync([New("a"), New("b")]);
        Assert.True(await PollAsync(polling));
        await _store.DeleteAsync(New("b").Id.TopicId);
        Assert.True(await PollAsync(polling));
        await _store.PurgeAsync(TimeSpan.FromDays(-1));
        for (int second = 0; second < 30; second++)
            Assert.True(await PollAsync(polling));

        Assert.Empty(_logger.Lines);
    }

    private StatePolling Polling() => new(_store, _image, _time, _logger);

    private async Task<bool> PollAsync(StatePolling polling)
    {
        bool isRead = await polling.PollAsync(TestTimeout.Token);
        _time.Advance(TimeSpan.FromSeconds(1));
        return isRead;
    }

    private async Task<PartitionState> LeadAsync(string topic)
    {
        PartitionState state = (await _store.ReadAsync(0)).Single(state => state.Topic == topic);
        StateSwapResult[] results = await _store.SwapAsync([state with { Leader = 1, LeaderEpoch = state.LeaderEpoch + 1 }]);
        return results[0].State!;
    }

    private static PartitionState New(string topic) =>
        new(topic, new PartitionId(new Guid(topic[0], 0, 0, new byte[8]), 0), 0, 0, -1, [1, 2], [], []);
}
