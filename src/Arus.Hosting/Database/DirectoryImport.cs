using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Text.Json;
using Arus.Coordination.Replication;
using Arus.Grains;
using Arus.Storage;
using Npgsql;
using NpgsqlTypes;
using Orleans.Runtime;

namespace Arus.Hosting.Database;

/// <param name="WasThere">An earlier import had got as far as the database.</param>
internal readonly record struct ImportResult(int BrokerId, string ClusterId, int Topics, int Partitions, bool WasThere);

/// <summary>
/// Makes a broker without a database the first broker of a cluster: the metadata of its directory goes to a database, in one transaction,
/// and its logs become replicas, the only ones so far, that are in sync. Records stay where they are, under their offsets and epochs. No
/// broker starts with the directory from before the commit until after it, so that it never goes on in both places.
/// </summary>
/// <param name="cluster">The cluster's <c>orleans.cluster.id</c>, and <paramref name="service"/> its <c>orleans.service.id</c>.</param>
/// <param name="report">Told what an operator should know of a log, such as records that are damaged.</param>
internal sealed class DirectoryImport(
    DataDirectory directory, NpgsqlDataSource source, string cluster, string service, Action<string> report)
{
    /// <summary>Bytes of states that one statement takes, unless a state alone is larger.</summary>
    private const int MaxStatementBytes = 8 << 20;

    private const int StatesInStatement = 1_000;
    private const int LogsAtOnce = 8;

    /// <summary>A statement writes megabytes here, which it never does for a broker.</summary>
    private const int CommandTimeoutSeconds = 120;

    /// <summary>The name of the states that say who led a partition: in a cluster those are rows of their own.</summary>
    private const string LeadershipState = "partition";
    private const string HeadState = "head";
    private const string RowState = "row";

    private readonly string _metadata = DataDirectory.MetadataOf(directory.FullPath);

    /// <param name="progress">Told how many of how many partitions are done.</param>
    /// <exception cref="StartRefusedException">
    /// The database is another cluster's, or a file of the directory cannot be read; the message says which. It can be repeated.
    /// </exception>
    /// <exception cref="System.Data.Common.DbException">The database failed. It can be repeated.</exception>
    public async Task<ImportResult> RunAsync(Action<int, int> progress, CancellationToken cancellation)
    {
        await DatabaseSchema.CreateAsync(source, cancellation).ConfigureAwait(false);
        if (await OwnerAsync(cancellation).ConfigureAwait(false) is { } owner)
        {
            if (owner != directory.ClusterId)
            {
                throw new StartRefusedException(
                    $"The database is that of cluster {owner}: a directory becomes the first broker of a cluster, with an empty database.");
            }

            // It was interrupted after the commit.
            directory.EndImport();
            return new ImportResult(directory.BrokerId, owner, 0, 0, WasThere: true);
        }

        try
        {
            (List<PartitionState> states, int topics) = await FindPartitionsAsync(progress, cancellation).ConfigureAwait(false);
            directory.BeginImport();
            await WriteAsync(states, cancellation).ConfigureAwait(false);
            directory.EndImport();
            return new ImportResult(directory.BrokerId, directory.ClusterId!, topics, states.Count, WasThere: false);
        }
        catch (Exception e) when (e is LogException or CorruptGrainStateException or IOException or UnauthorizedAccessException)
        {
            throw new StartRefusedException($"{directory.FullPath} cannot be imported: {e.Message}", e);
        }
    }

    private async Task<string?> OwnerAsync(CancellationToken cancellation)
    {
        await using NpgsqlCommand select = source.CreateCommand("SELECT cluster_id FROM arus_cluster");
        return (string?)await select.ExecuteScalarAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>The state of each partition: led by this broker, in an epoch after all that it led in, and in sync with its log.</summary>
    private async Task<(List<PartitionState> States, int Topics)> FindPartitionsAsync(
        Action<int, int> progress, CancellationToken cancellation)
    {
        Dictionary<string, PartitionLeadership> led = StoredStates.Read(_metadata, LeadershipState)
            .ToDictionary(state => KeyOf(state), state => Parse<PartitionLeadership>(state));
        HashSet<string> shared = [.. StoredStates.Read(_metadata, HeadState).Select(KeyOf)];
        (string Name, TopicState Topic)[] topics =
        [
            .. StoredStates.Read(_metadata, TopicGrain.StateName).Select(state => (KeyOf(state), Parse<TopicState>(state)))
                .Where(topic => topic.Item2.Id != Guid.Empty && !topic.Item2.Deleting),
        ];
        (string Name, TopicState Topic, int Partition)[] all =
            [.. topics.SelectMany(topic => topic.Topic.Replicas.Select((_, i) => (topic.Name, topic.Topic, i)))];
        var states = new ConcurrentBag<PartitionState>();
        await using var logs = new LogProvider(new LogProviderOptions
        {
            Directory = directory.Topics, BootId = LogProviders.ReadBootId(), NewLogId = Guid.NewGuid, OnEvent = Report,
        });
        var bounds = new ParallelOptions { MaxDegreeOfParallelism = LogsAtOnce, CancellationToken = cancellation };
        await Parallel.ForEachAsync(all, bounds, async (one, _) =>
        {
            var id = new PartitionId(one.Topic.Id, one.Partition);
            PartitionLeadership? leadership = led.GetValueOrDefault(PartitionKey.Format(one.Name, one.Partition));
            bool isShared = shared.Contains($"{id.TopicId:N}/{id.Partition}/{HeadState}");
            bool wasLed = leadership is { LeaderEpoch: >= 0 } && (leadership.TopicId == Guid.Empty || leadership.TopicId == id.TopicId);
            ImmutableArray<ReplicaId> isr = wasLed && !isShared
                ? [new ReplicaId(directory.BrokerId, await LogIdAsync(logs, one.Name, one.Topic, id).ConfigureAwait(false))]
                : [];
            states.Add(new PartitionState(
                one.Name, id, Version: 0, wasLed ? leadership!.LeaderEpoch + 1 : -1, isr.IsEmpty ? -1 : directory.BrokerId,
                [directory.BrokerId], isr, Elr: [], IsShared: isShared));
            lock (states)
                progress(states.Count, all.Length);
        }).ConfigureAwait(false);
        return ([.. states], topics.Length);
    }

    /// <summary>Opens a log as a replica: it is checked, and keeps the id that it gets.</summary>
    private static async Task<Guid> LogIdAsync(LogProvider logs, string name, TopicState topic, PartitionId id)
    {
        TopicConfig config = TopicConfig.Resolve(topic.Configs, BrokerConfig.Default);
        IPartitionLog log = await logs.OpenAsync(
            new TopicPartition(name, id.Partition), id.TopicId, config, replication: new LogReplication(() => { })).ConfigureAwait(false);
        await using (log.ConfigureAwait(false))
            return log.LogId;
    }

    private async Task WriteAsync(List<PartitionState> states, CancellationToken cancellation)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(cancellation).ConfigureAwait(false);
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(cancellation).ConfigureAwait(false);
        await using var identify = new NpgsqlCommand(
            "INSERT INTO arus_cluster (cluster_id, orleans_cluster_id, orleans_service_id) VALUES (@id, @cluster, @service)", connection);
        identify.Parameters.AddWithValue("id", directory.ClusterId!);
        identify.Parameters.AddWithValue("cluster", cluster);
        identify.Parameters.AddWithValue("service", service);
        await identify.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
        foreach (PartitionState[] some in states.Chunk(StatesInStatement))
            await RunAsync(connection, NpgsqlPartitionStateStore.CreationOf(some), cancellation).ConfigureAwait(false);

        (var chunk, int bytes) = (new List<StoredState>(), 0);
        foreach (StoredState state in StoredStates.Read(_metadata).Where(state => state.Name != LeadershipState))
        {
            if (chunk.Count == StatesInStatement || (chunk.Count > 0 && bytes + state.Payload.Length > MaxStatementBytes))
            {
                await RunAsync(connection, InsertionOf(chunk), cancellation).ConfigureAwait(false);
                (chunk, bytes) = ([], 0);
            }

            chunk.Add(state);
            bytes += state.Payload.Length;
        }

        if (chunk.Count > 0)
            await RunAsync(connection, InsertionOf(chunk), cancellation).ConfigureAwait(false);

        await transaction.CommitAsync(cancellation).ConfigureAwait(false);
    }

    private static async Task RunAsync(NpgsqlConnection connection, NpgsqlBatchCommand command, CancellationToken cancellation)
    {
        await using var batch = new NpgsqlBatch(connection) { Timeout = CommandTimeoutSeconds };
        batch.BatchCommands.Add(command);
        await batch.ExecuteNonQueryAsync(cancellation).ConfigureAwait(false);
    }

    private NpgsqlBatchCommand InsertionOf(List<StoredState> states)
    {
        var insert = new NpgsqlBatchCommand(
            """
            INSERT INTO arus_grain_state (service_id, state_name, grain_key, version, payload)
            SELECT @service, name, key, nextval('arus_grain_version'), payload
            FROM unnest(@names, @keys, @payloads) AS given (name, key, payload)
            """);
        insert.Parameters.AddWithValue("service", service);
        insert.Parameters.AddWithValue("names", NpgsqlDbType.Array | NpgsqlDbType.Text, states.Select(state => state.Name).ToArray());
        insert.Parameters.AddWithValue(
            "keys", NpgsqlDbType.Array | NpgsqlDbType.Text, states.Select(state => DatabaseGrainStorage.KeyOf(state.GrainId)).ToArray());
        insert.Parameters.AddWithValue(
            "payloads", NpgsqlDbType.Array | NpgsqlDbType.Bytea, states.Select(PayloadOf).ToArray());
        return insert;
    }

    /// <summary>
    /// As <see cref="DatabaseStateSerializer"/> writes it: JSON as in the file, but rows of logs as the bytes that they are.
    /// </summary>
    private static byte[] PayloadOf(StoredState state) => state.Name is RowState or HeadState
        ? Parse<LogRowState>(state).Bytes
        : state.Payload.ToArray();

    /// <summary>The grain's key, without its type.</summary>
    private static string KeyOf(StoredState state) => GrainId.Parse(state.GrainId).Key.ToString()!;

    private static T Parse<T>(StoredState state)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(state.Payload.Span)!;
        }
        catch (JsonException unreadable)
        {
            throw new CorruptGrainStateException(
                $"{state.Name} of {state.GrainId}", $"its contents are no {typeof(T).Name} ({unreadable.Message})", unreadable);
        }
    }

    private void Report(LogEvent logEvent)
    {
        if (logEvent.Kind is LogEventKind.Damaged or LogEventKind.RecordsMissing or LogEventKind.TailMissing or LogEventKind.SetAside)
            report(logEvent.Message);
    }
}
