using System.Reflection;
using Arus.Storage;
using Arus.Testing;
using Orleans.Runtime;

namespace Arus.Grains.Tests.Persistence;

/// <summary>A disk that cannot flush a directory: nothing is acknowledged, and nothing is read that a crash would undo.</summary>
public sealed class UnsyncedStateTests : IDisposable
{
    private static readonly GrainId Grain = GrainId.Create("counter", "a");
    private readonly string _directory = Directory.CreateTempSubdirectory("arus-state-").FullName;
    private readonly List<string> _replaced = [];
    private readonly FileGrainStorage _storage;
    private bool _fails;

    public UnsyncedStateTests()
    {
        ILogFileSystem disk = Fake.Of<ILogFileSystem>((method, arguments) =>
        {
            if (_fails && method.Name == nameof(ILogFileSystem.SyncDirectory))
                throw new IOException($"{arguments[0]} cannot be flushed.");

            if (method.Name == nameof(ILogFileSystem.RenameFile))
                _replaced.Add((string)arguments[1]!);

            return method.Invoke(PhysicalFileSystem.Instance, BindingFlags.DoNotWrapExceptions, null, arguments, null)!;
        });
        _storage = new FileGrainStorage("test", new FileGrainStorageOptions { Directory = _directory }, files: disk);
    }

    public void Dispose()
    {
        _storage.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task A_state_that_is_not_durable_is_written_again_before_it_is_read()
    {
        var written = new GrainState<int[]>([1]);
        await _storage.WriteStateAsync("state", Grain, written);
        _fails = true;
        written.State = [2];
        await Assert.ThrowsAsync<IOException>(() => _storage.WriteStateAsync("state", Grain, written));
        await Assert.ThrowsAsync<IOException>(ReadAsync);
        Assert.Equal(3, _replaced.Count);

        _fails = false;
        Assert.Equal(2, (await ReadAsync()).State![0]);
        Assert.Equal(4, _replaced.Count);
        await ReadAsync();
        Assert.Equal(4, _replaced.Count);
    }

    [Fact]
    public async Task A_state_whose_clearing_is_not_durable_is_not_told_to_be_gone()
    {
        var written = new GrainState<int[]>([1]);
        await _storage.WriteStateAsync("state", Grain, written);
        _fails = true;
        await Assert.ThrowsAsync<IOException>(() => _storage.ClearStateAsync("state", Grain, written));
        await Assert.ThrowsAsync<IOException>(ReadAsync);
        _fails = false;
        Assert.False((await ReadAsync()).RecordExists);
        Assert.Empty(Directory.GetFiles(_directory, "*.state*", SearchOption.AllDirectories));
    }

    private async Task<GrainState<int[]>> ReadAsync()
    {
        var read = new GrainState<int[]>();
        await _storage.ReadStateAsync("state", Grain, read);
        return read;
    }
}
