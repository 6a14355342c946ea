using Arus.Grains;
using Arus.Hosting.Database;
using Arus.Storage;
using Arus.Storage.Rows;
using Arus.Testing;
using Npgsql;
using Orleans;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Hosting.Tests;

/// <summary>Orleans' ADO.NET grain storage on the statements of our schema.</summary>
public sealed class DatabaseGrainStorageTests
{
    private static readonly GrainId Ad = GrainId.Create("topic", "ad");

    [PostgresFact]
    public async Task A_state_is_written_read_changed_and_removed()
    {
        await using GrainDatabase database = await GrainDatabase.CreateAsync();
        GrainState<Note> state = await LoadAsync(database, Ad);
        Assert.Equal((null, false), (state.ETag, state.RecordExists));
        state.State = new Note { Text = "one" };
        await database.Storage.WriteStateAsync("note", Ad, state);
        GrainState<Note> loaded = await LoadAsync(database, Ad);
        Assert.Equal(("one", state.ETag, true), (loaded.State!.Text, loaded.ETag, loaded.RecordExists));
        string first = state.ETag!;
        state.State.Text = "two";
        await database.Storage.WriteStateAsync("note", Ad, state);
        Assert.NotEqual(first, state.ETag);
        await Assert.ThrowsAsync<InconsistentStateException>(() => database.Storage.WriteStateAsync("note", Ad, loaded));
        await Assert.ThrowsAsync<InconsistentStateException>(() => database.Storage.ClearStateAsync("note", Ad, loaded));
        Assert.Equal("two", (await LoadAsync(database, Ad)).State!.Text);
        await database.Storage.ClearStateAsync("note", Ad, state);
        Assert.False((await LoadAsync(database, Ad)).RecordExists);
        Assert.Equal(0L, await database.CountAsync());
    }

    [PostgresFact]
    public async Task Of_two_first_writers_one_wins()
    {
        await using GrainDatabase database = await GrainDatabase.CreateAsync();
        for (int round = 0; round < 20; round++)
        {
            GrainId id = GrainId.Create("topic", $"t{round}");
            bool[] won = await Task.WhenAll(Enumerable.Range(0, 4).Select(writer => Task.Run(async () =>
            {
                try
                {
                    await database.Storage.WriteStateAsync(
                        "note", id, new GrainState<Note>(new Note { Text = $"{writer}" }));
                    return true;
                }
                catch (InconsistentStateException)
                {
                    return false;
                }
            })));
            Assert.Equal($"{Array.IndexOf(won, true)}", (await LoadAsync(database, id)).State!.Text);
            Assert.Single(won, true);
        }
    }

    [PostgresFact]
    public async Task A_state_that_was_removed_and_written_again_does_not_take_a_write_of_its_earlier_life()
    {
        await using GrainDatabase database = await GrainDatabase.CreateAsync();
        var seen = new HashSet<string>();
        for (int life = 0; life < 5; life++)
        {
            var state = new GrainState<Note>(new Note());
            await database.Storage.WriteStateAsync("note", Ad, state);
            Assert.True(seen.Add(state.ETag!));
            await database.Storage.WriteStateAsync("note", Ad, state);
            Assert.True(seen.Add(state.ETag!));
            await database.Storage.ClearStateAsync("note", Ad, state);
        }
    }

    [PostgresFact]
    public async Task Keys_that_the_provider_takes_for_one_number_are_different_states()
    {
        await using GrainDatabase database = await GrainDatabase.CreateAsync();
        GrainId[] ids =
        [
            Ad, Topic("AD"), Topic("0ad"), Topic("ad+x"), Group("ad"), Group("a\0d"), Group(@"a\0d"), Group(Guid.Empty.ToString("N")),
            Group("0"), Group(new string('x', 30_000)), Group(new string('x', 30_001)),
        ];
        GrainId Topic(string key) => GrainId.Create("topic", key);
        GrainId Group(string key) => GrainId.Create("group", key);

        foreach (GrainId id in ids)
            await database.Storage.WriteStateAsync("note", id, new GrainState<Note>(new Note { Text = $"{id}" }));

        foreach (GrainId id in ids)
            Assert.Equal($"{id}", (await LoadAsync(database, id)).State!.Text);

        Assert.Equal((long)ids.Length, await database.CountAsync());
    }

    [PostgresFact]
    public async Task A_state_that_cannot_be_read_is_named()
    {
        await using GrainDatabase database = await GrainDatabase.CreateAsync();
        await database.Storage.WriteStateAsync("note", Ad, new GrainState<Note>(new Note { Text = "x" }));
        await using NpgsqlCommand damage = database.Source.CreateCommand(@"UPDATE arus_grain_state SET payload = '\x7b'");
        await damage.ExecuteNonQueryAsync(TestTimeout.Token);
        Assert.Contains(
            "note of topic/ad in the database is corrupt",
            (await Assert.ThrowsAsync<CorruptGrainStateException>(() => LoadAsync(database, Ad))).Message);
    }

    [PostgresFact]
    public async Task Rows_of_a_log_are_the_bytes_that_they_are_and_leave_nothing_behind()
    {
        await using GrainDatabase database = await GrainDatabase.CreateAsync();
        var rows = new GrainStorageRowStore(database.Storage, new TopicPartition("t", 0), Guid.NewGuid());
        byte[] bytes = [0, 1, 255, (byte)'{'];
        Assert.True(await rows.TryInsertAsync("k", bytes));
        Assert.False(await rows.TryInsertAsync("k", new byte[] { 9 }));
        Assert.Equal(bytes, (await rows.ReadAsync("k"))!.Value.ToArray());
        string? etag = await rows.TryWriteHeadAsync(LogHead.Rows, new byte[] { 1 }, null);
        Assert.NotNull(etag);
        Assert.Null(await rows.TryWriteHeadAsync(LogHead.Rows, new byte[] { 2 }, null));
        Assert.NotNull(await rows.TryWriteHeadAsync(LogHead.Rows, new byte[] { 3 }, etag));
        Assert.Null(await rows.TryWriteHeadAsync(LogHead.Rows, new byte[] { 4 }, etag));
        await using NpgsqlCommand stored = database.Source.CreateCommand("SELECT payload FROM arus_grain_state WHERE state_name = 'row'");
        Assert.Equal(bytes, (byte[])(await stored.ExecuteScalarAsync(TestTimeout.Token))!);
        await rows.DeleteAsync("k");
        await rows.DeleteHeadAsync(LogHead.Rows);
        Assert.Equal(0L, await database.CountAsync());
    }

    private static async Task<GrainState<Note>> LoadAsync(GrainDatabase database, GrainId id)
    {
        var state = new GrainState<Note>();
        await database.Storage.ReadStateAsync("note", id, state);
        return state;
    }

    private sealed class Note
    {
        public string Text { get; set; } = "";
    }
}
