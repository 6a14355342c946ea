using Arus.Grains;
using Arus.Hosting.Database;
using Arus.Storage;
using Arus.Storage.Rows;
using Arus.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans;
using Orleans.Configuration;
using Orleans.Runtime;
using Orleans.Serialization;
using Orleans.Serialization.Serializers;
using Orleans.Storage;

namespace Arus.Hosting.Tests;

/// <summary>Orleans' ADO.NET grain storage on the statements of our schema.</summary>
public sealed class DatabaseGrainStorageTests
{
    private static readonly GrainId Ad = GrainId.Create("topic", "ad");

    [PostgresFact]
    public async Task A_state_is_written_read_changed_and_removed()
    {
        await using Database database = await Database.CreateAsync();
        GrainState<Note> state = await database.LoadAsync(Ad);
        Assert.Equal((null, false), (state.ETag, state.RecordExists));
        state.State = new Note { Text = "one" };
        await database.Storage.WriteStateAsync("note", Ad, state);
        GrainState<Note> loaded = await database.LoadAsync(Ad);
        Assert.Equal(("one", state.ETag, true), (loaded.State!.Text, loaded.ETag, loaded.RecordExists));
        string first = state.ETag!;
        state.State.Text = "two";
        await database.Storage.WriteStateAsync("note", Ad, state);
        Assert.NotEqual(first, state.ETag);
        await Assert.ThrowsAsync<InconsistentStateException>(() => database.Storage.WriteStateAsync("note", Ad, loaded));
        await Assert.ThrowsAsync<InconsistentStateException>(() => database.Storage.ClearStateAsync("note", Ad, loaded));
        Assert.Equal("two", (await database.LoadAsync(Ad)).State!.Text);
        await database.Storage.ClearStateAsync("note", Ad, state);
        Assert.False((await database.LoadAsync(Ad)).RecordExists);
        Assert.Equal(0L, await database.CountAsync());
    }

    [PostgresFact]
    public async Task Of_two_first_writers_one_wins()
    {
        await using Database database = await Database.CreateAsync();
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
            Assert.Equal($"{Array.IndexOf(won, true)}", (await database.LoadAsync(id)).State!.Text);
            Assert.Single(won, true);
        }
    }

    [PostgresFact]
    public async Task A_state_that_was_removed_and_written_again_does_not_take_a_write_of_its_earlier_life()
    {
        await using Database database = await Database.CreateAsync();
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
        await using Database database = await Database.CreateAsync();
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
            Assert.Equal($"{id}", (await database.LoadAsync(id)).State!.Text);

        Assert.Equal((long)ids.Length, await database.CountAsync());
    }

    [PostgresFact]
    public async Task A_state_that_cannot_be_read_is_named()
    {
        await using Database database = await Database.CreateAsync();
        await database.Storage.WriteStateAsync("note", Ad, new GrainState<Note>(new Note { Text = "x" }));
        await using NpgsqlCommand damage = database.Source.CreateCommand(@"UPDATE arus_grain_state SET payload = '\x7b'");
        await damage.ExecuteNonQueryAsync(TestTimeout.Token);
        Assert.Contains(
            "note of topic/ad in the database is corrupt",
            (await Assert.ThrowsAsync<CorruptGrainStateException>(() => database.LoadAsync(Ad))).Message);
    }

    [PostgresFact]
    public async Task Rows_of_a_log_are_the_bytes_that_they_are_and_leave_nothing_behind()
    {
        await using Database database = await Database.CreateAsync();
        var rows = new GrainStorageRowStore(database.Storage, new TopicPartition("t", 0), Guid.NewGuid());
        byte[] bytes = [0, 1, 255, (byte)'{'];
        Assert.True(await rows.TryInsertAsync("k", bytes));
        Assert.False(await rows.TryInsertAsync("k", new byte[] { 9 }));
        Assert.Equal(bytes, (await rows.ReadAsync("k"))!.Value.ToArray());
        string? etag = await rows.TryWriteHeadAsync(new byte[] { 1 }, null);
        Assert.NotNull(etag);
        Assert.Null(await rows.TryWriteHeadAsync(new byte[] { 2 }, null));
        Assert.NotNull(await rows.TryWriteHeadAsync(new byte[] { 3 }, etag));
        Assert.Null(await rows.TryWriteHeadAsync(new byte[] { 4 }, etag));
        await using NpgsqlCommand stored = database.Source.CreateCommand("SELECT payload FROM arus_grain_state WHERE state_name = 'row'");
        Assert.Equal(bytes, (byte[])(await stored.ExecuteScalarAsync(TestTimeout.Token))!);
        await rows.DeleteAsync("k");
        await rows.DeleteHeadAsync();
        Assert.Equal(0L, await database.CountAsync());
    }

    private sealed class Note
    {
        public string Text { get; set; } = "";
    }

    /// <summary>A database with the schema, and the provider over it.</summary>
    private sealed class Database : IAsyncDisposable
    {
        private readonly ServiceProvider _services;

        private Database(NpgsqlDataSource source, ServiceProvider services, IGrainStorage storage) =>
            (Source, _services, Storage) = (source, services, storage);

        public NpgsqlDataSource Source { get; }

        public IGrainStorage Storage { get; }

        public static async Task<Database> CreateAsync()
        {
            PostgresServer server = await PostgresServer.SharedAsync();
            NpgsqlDataSource source = DatabaseSource.Create(await server.CreateDatabaseAsync(), "test");
            await DatabaseSchema.CreateAsync(source, TestTimeout.Token);
            ServiceProvider services = new ServiceCollection().AddSerializer().BuildServiceProvider();
            var options = new AdoNetGrainStorageOptions();
            ClusterDatabase.Configure(options, source);
            var provider = new AdoNetGrainStorage(
                services.GetRequiredService<IActivatorProvider>(), NullLogger<AdoNetGrainStorage>.Instance,
                Options.Create(options), Options.Create(new ClusterOptions { ServiceId = "arus" }), "arus");
            var lifecycle = new Lifecycle();
            provider.Participate(lifecycle);
            await lifecycle.Observer!.OnStart(TestTimeout.Token);
            return new Database(source, services, new DatabaseGrainStorage(provider));
        }

        public async Task<GrainState<Note>> LoadAsync(GrainId id)
        {
            var state = new GrainState<Note>();
            await Storage.ReadStateAsync("note", id, state);
            return state;
        }

        public async Task<object?> CountAsync()
        {
            await using NpgsqlCommand count = Source.CreateCommand("SELECT count(*) FROM arus_grain_state");
            return await count.ExecuteScalarAsync(TestTimeout.Token);
        }

        public async ValueTask DisposeAsync()
        {
            await Source.DisposeAsync();
            await _services.DisposeAsync();
        }
    }

    private sealed class Lifecycle : ISiloLifecycle, IDisposable
    {
        public ILifecycleObserver? Observer { get; private set; }

        public int HighestCompletedStage => 0;

        public int LowestStoppedStage => 0;

        public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
        {
            Observer = observer;
            return this;
        }

        public void Dispose()
        {
        }
    }
}
