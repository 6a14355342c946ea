using System.Text;
using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains.Tests.Persistence;

public sealed class FileGrainStorageTests : IDisposable
{
    private static readonly GrainId Grain = GrainId.Create("counter", "a/b:c");
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-state-").FullName;
    private readonly FileGrainStorage _storage;

    public FileGrainStorageTests() => _storage = Open();

    public void Dispose()
    {
        _storage.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task What_is_written_is_read_back_by_another_instance()
    {
        var written = new GrainState<Counter>(new Counter { Value = 7, Name = "täg" });
        await _storage.WriteStateAsync("state", Grain, written);

        using FileGrainStorage other = Open();
        var read = new GrainState<Counter>();
        await other.ReadStateAsync("state", Grain, read);

        Assert.Equal((7, "täg"), (read.State!.Value, read.State.Name));
        Assert.True(read.RecordExists);
        Assert.NotNull(read.ETag);
        Assert.Equal(written.ETag, read.ETag);
    }

    [Fact]
    public async Task A_state_that_was_never_written_is_empty()
    {
        var state = new GrainState<Counter>(new Counter { Value = 1 }, "old") { RecordExists = true };
        await _storage.ReadStateAsync("state", Grain, state);
        Assert.Equal(0, state.State!.Value);
        Assert.Null(state.ETag);
        Assert.False(state.RecordExists);
    }

    [Fact]
    public async Task Every_write_changes_the_ETag()
    {
        var state = new GrainState<Counter>(new Counter());
        await _storage.WriteStateAsync("state", Grain, state);
        string? first = state.ETag;
        await _storage.WriteStateAsync("state", Grain, state);
        Assert.NotEqual(first, state.ETag);
    }

    [Fact]
    public async Task A_stale_write_is_refused_and_changes_nothing()
    {
        var mine = new GrainState<Counter>(new Counter { Value = 1 });
        await _storage.WriteStateAsync("state", Grain, mine);
        using FileGrainStorage other = Open();
        var theirs = new GrainState<Counter>();
        await other.ReadStateAsync("state", Grain, theirs);
        theirs.State!.Value = 2;
        await other.WriteStateAsync("state", Grain, theirs);

        mine.State!.Value = 3;
        var refused = await Assert.ThrowsAsync<InconsistentStateException>(() => _storage.WriteStateAsync("state", Grain, mine));
        await Assert.ThrowsAsync<InconsistentStateException>(() => _storage.ClearStateAsync("state", Grain, mine));
        await Assert.ThrowsAsync<InconsistentStateException>(
            () => _storage.WriteStateAsync("state", Grain, new GrainState<Counter>(new Counter())));

        Assert.Equal((theirs.ETag, mine.ETag), (refused.StoredEtag, refused.CurrentEtag));
        await other.ReadStateAsync("state", Grain, theirs);
        Assert.Equal(2, theirs.State!.Value);
    }

    [Fact]
    public async Task A_cleared_state_is_gone_and_its_old_ETag_with_it()
    {
        var state = new GrainState<Counter>(new Counter { Value = 1 });
        await _storage.WriteStateAsync("state", Grain, state);
        string? old = state.ETag;

        await _storage.ClearStateAsync("state", Grain, state);

        Assert.Equal((null, false, 0), (state.ETag, state.RecordExists, state.State!.Value));
        await _storage.WriteStateAsync("state", Grain, state);
        await Assert.ThrowsAsync<InconsistentStateException>(
            () => _storage.WriteStateAsync("state", Grain, new GrainState<Counter>(new Counter(), old)));
    }

    [Fact]
    public async Task Of_concurrent_writers_one_wins_each_round()
    {
        const int Writers = 4;
        const int Rounds = 10;
        FileGrainStorage[] storages = [.. Enumerable.Range(0, Writers).Select(_ => Open())];
        int[] wins = await Task.WhenAll(storages.Select(storage => Task.Run(async () =>
        {
            int won = 0;
            while (won < Rounds)
            {
                var state = new GrainState<Counter>();
                await storage.ReadStateAsync("state", Grain, state);
                state.State!.Value++;
                try
                {
                    await storage.WriteStateAsync("state", Grain, state);
                    won++;
                }
                catch (InconsistentStateException)
                {
                    // Another was faster; read what it wrote and try again.
                }
            }

            return won;
        })));

        var last = new GrainState<Counter>();
        await _storage.ReadStateAsync("state", Grain, last);
        Assert.Equal(wins.Sum(), last.State!.Value);
        Array.ForEach(storages, s => s.Dispose());
    }

    private static readonly string[] Keys =
    [
        "", ".", "..", "../../etc/passwd", "a/b", "A/b", "con", "nul.txt", "x:y*?\"<>|", "日本語", "line\nbreak",
        new string('k', 20_000), "trailing. ",
    ];

    [Fact]
    public async Task Any_key_has_a_file_of_its_own_below_the_directory()
    {
        // Only the name of a state may be blank: Orleans has no grain with such a key.
        (string State, GrainId Grain)[] places =
            [
                .. Keys.Select(name => (name, Grain)),
                .. Keys.Where(key => key.Length > 0).Select(key => ("state", GrainId.Create("topic", key))),
            ];
        foreach ((string state, GrainId grain) in places)
            await _storage.WriteStateAsync(state, grain, new GrainState<Counter>(new Counter { Name = $"{state} of {grain}" }));

        foreach ((string state, GrainId grain) in places)
        {
            var read = new GrainState<Counter>();
            await _storage.ReadStateAsync(state, grain, read);
            Assert.Equal($"{state} of {grain}", read.State!.Name);
        }

        string[] files = Directory.GetFiles(_directory, "*.state", SearchOption.AllDirectories);
        Assert.Equal(places.Length, files.Select(f => f.ToUpperInvariant()).Distinct().Count());
        Assert.All(files, f => Assert.InRange(Path.GetFileName(f).Length, 1, 255));
    }

    [Fact]
    public async Task A_state_name_that_would_be_ambiguous_is_refused() => await Assert.ThrowsAsync<ArgumentException>(
        () => _storage.ReadStateAsync("a\0b", Grain, new GrainState<Counter>()));

    [Fact]
    public async Task A_damaged_file_is_named_and_left_alone()
    {
        await _storage.WriteStateAsync("state", Grain, new GrainState<Counter>(new Counter { Value = 5 }));
        string file = Assert.Single(Directory.GetFiles(_directory, "*.state", SearchOption.AllDirectories));
        byte[] good = await File.ReadAllBytesAsync(file);

        for (int i = 0; i < good.Length; i++)
        {
            byte[] bad = [.. good];
            bad[i] ^= 0x10;
            await File.WriteAllBytesAsync(file, bad);
            var damaged = await Assert.ThrowsAsync<CorruptGrainStateException>(
                () => _storage.ReadStateAsync("state", Grain, new GrainState<Counter>()));
            Assert.Contains(file, damaged.Message);
            Assert.Equal(bad, await File.ReadAllBytesAsync(file));
        }

        for (int length = 0; length < good.Length; length++)
        {
            await File.WriteAllBytesAsync(file, good[..length]);
            await Assert.ThrowsAsync<CorruptGrainStateException>(
                () => _storage.ReadStateAsync("state", Grain, new GrainState<Counter>()));
        }
    }

    [Fact]
    public async Task Contents_of_another_type_are_reported_with_the_file()
    {
        await _storage.WriteStateAsync("state", Grain, new GrainState<string>("text"));
        var unreadable = await Assert.ThrowsAsync<CorruptGrainStateException>(
            () => _storage.ReadStateAsync("state", Grain, new GrainState<Counter>()));
        Assert.Contains(typeof(Counter).FullName!, unreadable.Message);
    }

    [Fact]
    public async Task What_a_crash_left_half_written_does_not_count()
    {
        var state = new GrainState<Counter>(new Counter { Value = 1 });
        await _storage.WriteStateAsync("state", Grain, state);
        string file = Assert.Single(Directory.GetFiles(_directory, "*.state", SearchOption.AllDirectories));
        await File.WriteAllTextAsync(file + ".tmp", "half of a wri");

        await _storage.ReadStateAsync("state", Grain, state);
        Assert.Equal(1, state.State!.Value);
        state.State.Value = 2;
        await _storage.WriteStateAsync("state", Grain, state);
        Assert.False(File.Exists(file + ".tmp"));
    }

    [Fact]
    public async Task A_serializer_of_the_users_choice_is_used()
    {
        using var storage = new FileGrainStorage(
            "test", new FileGrainStorageOptions { Directory = _directory, GrainStorageSerializer = new UpperCaseSerializer() });
        await storage.WriteStateAsync("state", Grain, new GrainState<string>("text"));
        var read = new GrainState<string>();
        await storage.ReadStateAsync("state", Grain, read);
        Assert.Equal("TEXT", read.State);
    }

    [Fact]
    public async Task A_state_that_is_too_large_is_refused()
    {
        using var storage = new FileGrainStorage("test", new FileGrainStorageOptions { Directory = _directory, MaxStateBytes = 100 });
        var refused = await Assert.ThrowsAsync<InvalidOperationException>(
            () => storage.WriteStateAsync("state", Grain, new GrainState<string>(new string('x', 200))));
        Assert.Contains("202", refused.Message);
    }

    [Theory]
    [InlineData("", 1, "Directory")]
    [InlineData("x", 0, "IoThreads")]
    public void Options_that_make_no_sense_are_refused_by_name(string directory, int threads, string names)
    {
        var refused = Assert.Throws<OrleansConfigurationException>(
            () => new FileGrainStorage("test", new FileGrainStorageOptions { Directory = directory, IoThreads = threads }));
        Assert.Contains(names, refused.Message);
        Assert.Contains("\"test\"", refused.Message);
    }

    [Fact]
    public void The_format_is_frozen()
    {
        byte[] file = GrainStateFile.Format("s\0t/k", new Guid("00112233-4455-6677-8899-aabbccddeeff"), "{}"u8);
        Assert.Equal(
            "41525347" + "0100" + "0000" + "00112233445566778899aabbccddeeff" + "05000000" + "02000000"
            + "862204b4" + "7300742f6b" + "7b7d",
            Convert.ToHexStringLower(file));
        Assert.Equal(
            "49/s~t.k~", Path.GetRelativePath("/r", GrainStatePath.Of("/r", "s", GrainId.Create("t", "k")).File)[..9]);
    }

    private FileGrainStorage Open() => new("test", new FileGrainStorageOptions { Directory = _directory });

    private sealed class Counter
    {
        public int Value { get; set; }

        public string Name { get; set; } = "";
    }

    private sealed class UpperCaseSerializer : IGrainStorageSerializer
    {
        public BinaryData Serialize<T>(T? input) => new(input!.ToString()!.ToUpperInvariant());

        public T? Deserialize<T>(BinaryData input) => (T)(object)Encoding.UTF8.GetString(input);
    }
}
