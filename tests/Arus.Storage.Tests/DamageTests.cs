namespace Arus.Storage.Tests;

/// <summary>
/// A small log of several segments whose files are damaged in every way that one byte or a missing end can: what was intact is served,
/// what is not served is named, nothing else is served and nothing hangs.
/// </summary>
/// <remarks>A batch's leader epoch is left out where only it is damaged: nothing in a single batch tells that it is wrong.</remarks>
public sealed class DamageTests
{
    private const int Count = 40;

    private static readonly TopicConfig Config = LogExtensions.Config(("internal.segment.bytes", "700"), ("index.interval.bytes", "200"));

    /// <summary>Records of some batches, by the offset of the first.</summary>
    private sealed record Acknowledged(long Offset, string?[] Values, string File, int Position, int Length);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Of_a_flipped_byte_only_its_batch_and_a_neighbour_may_suffer(bool closed)
    {
        (Machine machine, List<Acknowledged> batches) = await FilledAsync(closed);
        foreach (string name in machine.Disk.ListFiles(machine.Directory))
        {
            string path = Path.Combine(machine.Directory, name);
            byte[] content = machine.Disk.Content(path);
            for (int i = 0; i < content.Length; i++)
            {
                byte flip = (byte)(1 << (i % 8));
                byte[] flipped = [.. content];
                flipped[i] ^= flip;
                int hit = batches.FindIndex(batch => batch.File == name && i >= batch.Position && i < batch.Position + batch.Length);
                await CheckAsync(
                    machine, batches, path, flipped, (index, _) => hit < 0 || index < hit - 1 || index > hit + 1,
                    $"{name} byte {i} ^ {flip}");
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Of_a_file_that_was_cut_off_only_what_is_missing_is_lost(bool closed)
    {
        (Machine machine, List<Acknowledged> batches) = await FilledAsync(closed);
        foreach (string name in machine.Disk.ListFiles(machine.Directory))
        {
            string path = Path.Combine(machine.Directory, name);
            byte[] content = machine.Disk.Content(path);
            for (int i = 0; i < content.Length; i++)
            {
                // Behind the recovery point nothing tells of whole batches at the end that never came to be there.
                if (!closed && name == batches[^1].File && batches.Exists(batch => batch.File == name && batch.Position == i))
                    continue;

                await CheckAsync(
                    machine, batches, path, content[..i], (_, batch) => batch.File != name || batch.Position + batch.Length <= i,
                    $"{name} cut at {i}");
            }
        }
    }

    [Theory]
    [InlineData(-12)]
    [InlineData(0)]
    [InlineData(int.MaxValue)]
    public async Task A_length_that_no_batch_has_ends_a_read_with_an_error(int length)
    {
        (Machine machine, List<Acknowledged> batches) = await FilledAsync(closed: true);
        foreach (Acknowledged batch in batches)
        {
            string path = Path.Combine(machine.Directory, batch.File);
            byte[] content = machine.Disk.Content(path);
            System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(content.AsSpan(batch.Position + 8), length);
            await CheckAsync(machine, batches, path, content, (_, other) => other.File != batch.File, $"length {length} at {batch.Offset}");
        }
    }

    [Fact]
    public async Task A_segment_that_is_missing_in_the_middle_is_named_and_the_rest_served()
    {
        (Machine machine, List<Acknowledged> batches) = await FilledAsync(closed: true);
        Acknowledged missing = batches.First(batch => batch.Offset > 5 && batch.Position == 0);
        machine.Disk.DeleteFile(Path.Combine(machine.Directory, missing.File));
        IPartitionLog log = await machine.OpenAsync(Config);
        LogEvent told = Assert.Single(machine.Events, entry => entry.Kind == LogEventKind.RecordsMissing);
        Assert.Equal((missing.Offset, Path.Combine(machine.Directory, missing.File)), (told.FromOffset, told.File));
        Dictionary<long, string?> served = await ReadAsync(machine, log);
        Assert.All(batches.Where(batch => batch.File != missing.File), batch => Assert.Contains(batch.Offset, served));
    }

    [Fact]
    public async Task Batches_behind_damage_at_the_log_end_are_served_and_the_damaged_bytes_are_kept()
    {
        var machine = new Machine();
        IPartitionLog log = await machine.OpenAsync();
        for (int i = 0; i < 30; i++)
            await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of($"{i}")], 1));

        string path = Path.Combine(machine.Directory, "00000000000000000000.log");
        byte[] content = machine.Disk.Content(path);
        int size = new RecordBatchHeader(content).SizeInBytes;
        machine.Kill();
        machine.Disk.Damage(path, (size * 3) - 1, [0xEE]);
        log = await machine.OpenAsync();
        Assert.Equal(30, log.LogEndOffset);
        LogEvent told = Assert.Single(machine.Events);
        Assert.Equal((LogEventKind.Damaged, path, 2L, (long)size), (told.Kind, told.File, told.FromOffset, told.Bytes));
        string aside = Path.Combine(machine.Directory, "00000000000000000002.damaged");
        Assert.Contains(aside, told.Message, StringComparison.Ordinal);
        Assert.Equal(size, machine.Disk.Content(aside).Length);
        Dictionary<long, string?> served = await ReadAsync(machine, log);
        Assert.Equal(Enumerable.Range(0, 30).Where(i => i != 2).Select(i => (long)i), served.Keys.Order());

        // It is told once.
        await machine.RestartAsync(log);
        log = await machine.OpenAsync();
        Assert.Equal(29, (await ReadAsync(machine, log)).Count);
        Assert.Single(machine.Events, entry => entry.Kind != LogEventKind.Rebuilt);
    }

    private static async Task<(Machine Machine, List<Acknowledged> Batches)> FilledAsync(bool closed)
    {
        var machine = new Machine();
        IPartitionLog log = await machine.OpenAsync(Config);
        for (int i = 0; i < Count; i++)
        {
            ReadOnlyMemory<byte> batch = i % 3 == 0
                ? Batches.Idempotent(7, 0, i / 3)
                : Batches.Of([.. Enumerable.Range(0, 1 + (i % 2)).Select(record => $"{i}.{record}")]);
            Assert.Equal(ErrorCode.None, (await machine.Scheduler.RunAsync(log.AppendAsync([batch], 1 + (i / 10))))[0].Error);
        }

        if (closed)
            await machine.Scheduler.RunAsync(log.DisposeAsync());

        machine.Kill();
        var batches = new List<Acknowledged>();
        foreach (string name in machine.Disk.ListFiles(machine.Directory).Where(name => name.EndsWith(".log", StringComparison.Ordinal)))
        {
            byte[] content = machine.Disk.Content(Path.Combine(machine.Directory, name));
            for (int at = 0; at < content.Length;)
            {
                var header = new RecordBatchHeader(content.AsSpan(at));
                string?[] values = [.. Batches.Records([content.AsMemory(at, header.SizeInBytes)]).Select(record => record.Value)];
                batches.Add(new Acknowledged(header.BaseOffset, values, name, at, header.SizeInBytes));
                at += header.SizeInBytes;
            }
        }

        Assert.Equal(Count, batches.Count);
        Assert.True(batches.Select(batch => batch.File).Distinct().Count() > 3);
        return (machine, batches);
    }

    private static async Task CheckAsync(
        Machine template, List<Acknowledged> batches, string path, byte[] content, Func<int, Acknowledged, bool> mustBeServed, string what)
    {
        Machine machine = template.Clone();
        machine.Disk.Replace(path, content);
        try
        {
            IPartitionLog log = await machine.OpenAsync(Config, leaderEpoch: 9);
            Dictionary<long, string?> served = await ReadAsync(machine, log);
            LogEvent[] told = [.. machine.Events.Where(entry => entry.Kind is not LogEventKind.Rebuilt)];
            for (int i = 0; i < batches.Count; i++)
            {
                Acknowledged batch = batches[i];
                bool isServed = served.ContainsKey(batch.Offset);
                Assert.True(isServed || !mustBeServed(i, batch), $"offset {batch.Offset} was intact");
                Assert.True(isServed || told.Length > 0, $"offset {batch.Offset} is lost and not named");
                for (int r = 0; isServed && r < batch.Values.Length; r++)
                    Assert.Equal(batch.Values[r], served[batch.Offset + r]);
            }

            Assert.All(served.Keys, offset => Assert.True(offset <= batches[^1].Offset + batches[^1].Values.Length - 1));
            Assert.Equal(ErrorCode.None, (await machine.Scheduler.RunAsync(log.AppendAsync([Batches.Of("again")], 9)))[0].Error);
        }
        catch (Exception error)
        {
            throw new InvalidOperationException($"{what}: {error.Message}\n{string.Join('\n', machine.Events)}", error);
        }
    }

    /// <summary>Everything that a client gets; where there is an error it seeks to the next offset.</summary>
    private static async Task<Dictionary<long, string?>> ReadAsync(Machine machine, IPartitionLog log)
    {
        var served = new Dictionary<long, string?>();
        for (long next = log.LogStartOffset; next < log.HighWatermark;)
        {
            LogReadResult read = await machine.Scheduler.RunAsync(log.ReadAsync(next, 300, minOneBatch: true));
            if (read.Error == ErrorCode.CorruptMessage)
            {
                Assert.Contains(machine.Events, entry => entry.Kind == LogEventKind.Damaged);
                next++;
                continue;
            }

            Assert.Equal(ErrorCode.None, read.Error);
            List<(long Offset, string? Key, string? Value)> records = Batches.Records(read.Records);
            Assert.NotEmpty(records);
            foreach ((long offset, _, string? value) in records.Where(record => record.Offset >= next))
                served.Add(offset, value);

            next = records[^1].Offset + 1;
        }

        return served;
    }
}
