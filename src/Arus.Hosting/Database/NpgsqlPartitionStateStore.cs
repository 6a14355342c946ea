using System.Collections.Immutable;
using Arus.Coordination.Replication;
using Arus.Grains;
using Npgsql;
using NpgsqlTypes;
using Orleans.Runtime;

namespace Arus.Hosting.Database;

/// <summary>Names one life of a silo in the table of the cluster's membership.</summary>
internal sealed record SiloLife(string ClusterId, string Name, int Generation)
{
    public static SiloLife Of(ILocalSiloDetails silo) => new(silo.ClusterId, silo.Name, silo.SiloAddress.Generation);
}

/// <summary>The states of partitions in the table <c>arus_partition_state</c>. Safe for use by any thread.</summary>
internal sealed class NpgsqlPartitionStateStore(NpgsqlDataSource source, SiloLife life) : IPartitionStateStore
{
    private const string Columns = """
        s.topic, s.topic_id, s.partition, s.version, s.leader_epoch, s.leader, s.replicas, s.isr, s.isr_logs, s.elr, s.elr_logs,
        s.is_deleted, s.is_unclean, s.is_shared, s.target
        """;

    /// <summary>
    /// A column of the parameters is an array, with a row's own arrays as text, since PostgreSQL takes no arrays of arrays of different
    /// lengths.
    /// </summary>
    private const string Given = """
        given AS (
            SELECT number, topic, topic_id, partition, version, leader_epoch, leader, replicas::integer[] AS replicas,
                isr::integer[] AS isr, isr_logs::uuid[] AS isr_logs, elr::integer[] AS elr, elr_logs::uuid[] AS elr_logs,
                is_unclean, is_shared, target::integer[] AS target
            FROM unnest(
                @topics, @ids, @partitions, @versions, @epochs, @leaders, @replicas, @isrs, @isr_logs, @elrs, @elr_logs, @uncleans,
                @shareds, @targets) WITH ORDINALITY AS given (
                topic, topic_id, partition, version, leader_epoch, leader, replicas, isr, isr_logs, elr, elr_logs, is_unclean,
                is_shared, target, number)
        )
        """;

    /// <summary>
    /// Rows are locked in the order of their keys, so that two batches never wait for each other; a lock that was waited for brings the
    /// row as it is then, not as it was when the statement began, and that is what who loses is told. The silo's own row is held, so that
    /// to declare the silo dead waits for this commit, or this comes later and changes nothing.
    /// </summary>
    private const string SwapStatement = $"""
        WITH {Given}, proposer AS MATERIALIZED (
            SELECT FROM arus_membership
            WHERE cluster = @cluster AND silo_name = @silo AND generation = @generation AND status = @active
            FOR SHARE
        ), locked AS MATERIALIZED (
            SELECT s.*, given.number FROM arus_partition_state s JOIN given USING (topic_id, partition)
            ORDER BY s.topic_id, s.partition FOR UPDATE OF s
        ), changed AS (
            UPDATE arus_partition_state s
            SET version = nextval('arus_partition_version'), leader_epoch = given.leader_epoch, leader = given.leader,
                replicas = given.replicas, isr = given.isr, isr_logs = given.isr_logs, elr = given.elr, elr_logs = given.elr_logs,
                is_unclean = given.is_unclean, target = given.target, changed_at = now()
            FROM given JOIN locked USING (number)
            WHERE s.topic_id = given.topic_id AND s.partition = given.partition
                AND s.version = given.version AND locked.version = given.version AND NOT locked.is_deleted
                AND EXISTS (SELECT FROM proposer)
            RETURNING s.*, given.number
        )
        SELECT {Columns}, s.number, true AS won FROM changed s
        UNION ALL
        SELECT {Columns}, s.number, false FROM locked s WHERE s.number NOT IN (SELECT number FROM changed)
        """;

    private const string CreateStatement = $"""
        WITH {Given}
        INSERT INTO arus_partition_state (
            topic, topic_id, partition, version, leader_epoch, leader, replicas, isr, isr_logs, elr, elr_logs, is_unclean, is_shared,
            target, is_deleted)
        SELECT topic, topic_id, partition, nextval('arus_partition_version'), leader_epoch, leader, replicas, isr, isr_logs, elr,
            elr_logs, is_unclean, is_shared, target, false
        FROM given ORDER BY topic_id, partition
        ON CONFLICT DO NOTHING
        """;

    private const string ReadOfKeys = $"""
        SELECT {Columns} FROM arus_partition_state s
        JOIN unnest(@ids, @partitions) WITH ORDINALITY AS given (topic_id, partition, number) USING (topic_id, partition)
        ORDER BY given.number
        """;

    private const string ReadStatement = $"SELECT {Columns} FROM arus_partition_state s WHERE s.version > @after ORDER BY s.version";

    private const string DeleteStatement = """
        UPDATE arus_partition_state SET is_deleted = true, version = nextval('arus_partition_version'), changed_at = now()
        WHERE topic_id = @id AND NOT is_deleted
        """;

    private const string ReadOfTopic = $"SELECT {Columns} FROM arus_partition_state s WHERE s.topic_id = @id ORDER BY s.partition";

    private const string PurgeStatement = "DELETE FROM arus_partition_state WHERE is_deleted AND changed_at < now() - @age";

    public Task<IReadOnlyList<PartitionState>> ReadAsync(long afterVersion, CancellationToken cancellationToken = default) =>
        DatabaseFailure.TranslateAsync(ReadAfterAsync(afterVersion, cancellationToken));

    public Task<IReadOnlyList<PartitionState>> CreateAsync(
        IReadOnlyList<PartitionState> states, CancellationToken cancellationToken = default) =>
        DatabaseFailure.TranslateAsync(InsertAsync(states, cancellationToken));

    public Task<StateSwapResult[]> SwapAsync(IReadOnlyList<PartitionState> proposed, CancellationToken cancellationToken = default) =>
        DatabaseFailure.TranslateAsync(UpdateAsync(proposed, cancellationToken));

    public Task<IReadOnlyList<PartitionState>> DeleteAsync(Guid topicId, CancellationToken cancellationToken = default) =>
        DatabaseFailure.TranslateAsync(MarkDeletedAsync(topicId, cancellationToken));

    public async Task PurgeAsync(TimeSpan olderThan, CancellationToken cancellationToken = default)
    {
        await using NpgsqlCommand purge = source.CreateCommand(PurgeStatement);
        purge.Parameters.AddWithValue("age", olderThan);
        await DatabaseFailure.TranslateAsync(purge.ExecuteNonQueryAsync(cancellationToken)).ConfigureAwait(false);
    }

    private async Task<IReadOnlyList<PartitionState>> ReadAfterAsync(long afterVersion, CancellationToken cancellationToken)
    {
        await using NpgsqlCommand read = source.CreateCommand(ReadStatement);
        read.Parameters.AddWithValue("after", afterVersion);
        await using NpgsqlDataReader rows = await read.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        return await StatesAsync(rows, cancellationToken).ConfigureAwait(false);
    }

    private async Task<IReadOnlyList<PartitionState>> InsertAsync(
        IReadOnlyList<PartitionState> states, CancellationToken cancellationToken)
    {
        if (states.Count == 0)
            return [];

        await using NpgsqlBatch batch = source.CreateBatch();
        NpgsqlBatchCommand create = CreationOf(states);
        var read = new NpgsqlBatchCommand(ReadOfKeys);
        AddKeys(read.Parameters, states);
        batch.BatchCommands.Add(create);
        batch.BatchCommands.Add(read);
        await using NpgsqlDataReader rows = await batch.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        return await StatesAsync(rows, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Makes states of partitions that have none.</summary>
    internal static NpgsqlBatchCommand CreationOf(IReadOnlyList<PartitionState> states)
    {
        var create = new NpgsqlBatchCommand(CreateStatement);
        AddStates(create.Parameters, states);
        return create;
    }

    private async Task<StateSwapResult[]> UpdateAsync(IReadOnlyList<PartitionState> proposed, CancellationToken cancellationToken)
    {
        if (proposed.Count == 0)
            return [];

        if (proposed.Select(state => state.Id).Distinct().Count() != proposed.Count)
            throw new ArgumentException("A partition is there twice; of two swaps of one version at most one can win.", nameof(proposed));

        await using NpgsqlCommand swap = source.CreateCommand(SwapStatement);
        AddStates(swap.Parameters, proposed);
        swap.Parameters.AddWithValue("cluster", life.ClusterId);
        swap.Parameters.AddWithValue("silo", life.Name);
        swap.Parameters.AddWithValue("generation", life.Generation);
        swap.Parameters.AddWithValue("active", (int)SiloStatus.Active);
        var results = new StateSwapResult[proposed.Count];
        await using NpgsqlDataReader rows = await swap.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        while (await rows.ReadAsync(cancellationToken).ConfigureAwait(false))
            results[rows.GetInt64(15) - 1] = new StateSwapResult(rows.GetBoolean(16), ReadState(rows));

        return results;
    }

    private async Task<IReadOnlyList<PartitionState>> MarkDeletedAsync(Guid topicId, CancellationToken cancellationToken)
    {
        await using NpgsqlBatch batch = source.CreateBatch();
        foreach (string statement in new[] { DeleteStatement, ReadOfTopic })
        {
            var command = new NpgsqlBatchCommand(statement);
            command.Parameters.AddWithValue("id", topicId);
            batch.BatchCommands.Add(command);
        }

        await using NpgsqlDataReader rows = await batch.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        return await StatesAsync(rows, cancellationToken).ConfigureAwait(false);
    }

    private static void AddStates(NpgsqlParameterCollection parameters, IReadOnlyList<PartitionState> states)
    {
        AddKeys(parameters, states);
        Add("topics", NpgsqlDbType.Text, state => state.Topic);
        Add("versions", NpgsqlDbType.Bigint, state => state.Version);
        Add("epochs", NpgsqlDbType.Integer, state => state.LeaderEpoch);
        Add("leaders", NpgsqlDbType.Integer, state => state.Leader);
        Add("replicas", NpgsqlDbType.Text, state => Text(state.Replicas));
        Add("isrs", NpgsqlDbType.Text, state => Text(state.Isr.Select(member => member.BrokerId)));
        Add("isr_logs", NpgsqlDbType.Text, state => Text(state.Isr.Select(member => member.LogId)));
        Add("elrs", NpgsqlDbType.Text, state => Text(state.Elr.Select(member => member.BrokerId)));
        Add("elr_logs", NpgsqlDbType.Text, state => Text(state.Elr.Select(member => member.LogId)));
        Add("targets", NpgsqlDbType.Text, state => Text(state.Target));
        Add("uncleans", NpgsqlDbType.Boolean, state => state.IsUnclean);
        Add("shareds", NpgsqlDbType.Boolean, state => state.IsShared);

        void Add<T>(string name, NpgsqlDbType type, Func<PartitionState, T> value) => AddColumn(parameters, states, name, type, value);
    }

    private static void AddKeys(NpgsqlParameterCollection parameters, IReadOnlyList<PartitionState> states)
    {
        AddColumn(parameters, states, "ids", NpgsqlDbType.Uuid, state => state.Id.TopicId);
        AddColumn(parameters, states, "partitions", NpgsqlDbType.Integer, state => state.Id.Partition);
    }

    private static void AddColumn<T>(
        NpgsqlParameterCollection parameters, IReadOnlyList<PartitionState> states, string name, NpgsqlDbType type,
        Func<PartitionState, T> value) =>
        parameters.Add(new NpgsqlParameter<T[]>(name, NpgsqlDbType.Array | type) { TypedValue = [.. states.Select(value)] });

    /// <summary>An array as PostgreSQL writes it; of what needs no quotes.</summary>
    private static string Text<T>(IEnumerable<T> values) => $"{{{string.Join(',', values)}}}";

    private static async Task<IReadOnlyList<PartitionState>> StatesAsync(NpgsqlDataReader rows, CancellationToken cancellationToken)
    {
        var states = new List<PartitionState>();
        while (await rows.ReadAsync(cancellationToken).ConfigureAwait(false))
            states.Add(ReadState(rows));

        return states;
    }

    private static PartitionState ReadState(NpgsqlDataReader row) => new(
        Topic: row.GetString(0),
        Id: new PartitionId(row.GetGuid(1), row.GetInt32(2)),
        Version: row.GetInt64(3),
        LeaderEpoch: row.GetInt32(4),
        Leader: row.GetInt32(5),
        Replicas: ImmutableArray.Create(row.GetFieldValue<int[]>(6)),
        Isr: Members(row, 7),
        Elr: Members(row, 9),
        IsDeleted: row.GetBoolean(11),
        IsUnclean: row.GetBoolean(12),
        IsShared: row.GetBoolean(13))
    {
        Target = ImmutableArray.Create(row.GetFieldValue<int[]>(14)),
    };

    private static ImmutableArray<ReplicaId> Members(NpgsqlDataReader row, int column)
    {
        int[] brokers = row.GetFieldValue<int[]>(column);
        Guid[] logs = row.GetFieldValue<Guid[]>(column + 1);
        return [.. brokers.Select((broker, i) => new ReplicaId(broker, logs[i]))];
    }
}
