using System.Data.Common;
using System.Globalization;
using System.Net;
using Arus.Grains;
using Arus.Hosting.Clustering;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans.Configuration;

namespace Arus.Hosting.Database;

/// <summary>
/// What happens before a silo joins its cluster: the database is there and has the schema, this broker's records belong to the cluster,
/// and no other live broker has its number.
/// </summary>
internal sealed partial class DatabaseStart(
    BrokerConfig config, NpgsqlDataSource source, DataDirectory data, ClusterIdentity identity, IOptions<EndpointOptions> endpoints,
    LostSilos lost, TimeProvider time, ILogger<DatabaseStart> logger) : IHostedLifecycleService, IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _started = new();
    private Task _watch = Task.CompletedTask;

    /// <exception cref="StartRefusedException">The broker cannot be one of this cluster; the message says why.</exception>
    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        await RetryAsync(PrepareSchemaAsync, cancellationToken).ConfigureAwait(false);
        string clusterId = await RetryAsync(IdentifyAsync, cancellationToken).ConfigureAwait(false);
        data.CheckCluster(clusterId, usesDatabase: true);
        identity.ClusterId = clusterId;
        await RetryAsync(CheckNumberAsync, cancellationToken).ConfigureAwait(false);
        _watch = lost.WatchAsync(_started.Token);
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => EndWatchAsync();

    public Task StoppingAsync(CancellationToken cancellationToken) => EndWatchAsync();

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _started.Dispose();

    private async Task EndWatchAsync()
    {
        await _started.CancelAsync().ConfigureAwait(false);
        await _watch.ConfigureAwait(false);
    }

    /// <summary>Repeats what a database that is away lets fail, for as long as the configuration allows; says so once.</summary>
    private async Task<T> RetryAsync<T>(Func<CancellationToken, Task<T>> attempt, CancellationToken cancellationToken)
    {
        string where = DatabaseSource.Describe(config.GetString(BrokerConfigs.Database)!);
        TimeSpan limit = config.GetMilliseconds(BrokerConfigs.DatabaseStartTimeoutMs);
        long start = time.GetTimestamp();
        for (bool isFirst = true; ; isFirst = false)
        {
            try
            {
                return await attempt(cancellationToken).ConfigureAwait(false);
            }
            catch (DbException e) when (e.IsTransient && time.GetElapsedTime(start) < limit)
            {
                if (isFirst)
                    LogUnreachable(where, limit.TotalSeconds, DatabaseFailure.Describe(e));

                await Task.Delay(Pause, time, cancellationToken).ConfigureAwait(false);
            }
            catch (DbException e)
            {
                string waited = limit.TotalSeconds.ToString("0.#", CultureInfo.InvariantCulture);
                string what = e.IsTransient
                    ? $"did not answer within {waited} s ({BrokerConfigs.DatabaseStartTimeoutMs})" : "refuses";
                throw new StartRefusedException($"The database at {where} {what}: {DatabaseFailure.Describe(e)}", e);
            }
        }
    }

    private async Task<bool> PrepareSchemaAsync(CancellationToken cancellationToken)
    {
        if (config.GetBoolean(BrokerConfigs.DatabaseCreateSchema))
            await DatabaseSchema.CreateAsync(source, cancellationToken).ConfigureAwait(false);
        else
            await DatabaseSchema.CheckAsync(source, cancellationToken).ConfigureAwait(false);

        await using NpgsqlCommand commits = source.CreateCommand("SELECT current_setting('synchronous_commit')");
        if ((string?)await commits.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false) == "off")
            LogAsynchronousCommits();

        return true;
    }

    /// <summary>The cluster's id, which the first broker gives it.</summary>
    private async Task<string> IdentifyAsync(CancellationToken cancellationToken)
    {
        (string cluster, string service) =
            (config.GetString(BrokerConfigs.OrleansClusterId)!, config.GetString(BrokerConfigs.OrleansServiceId)!);
        await using NpgsqlBatch batch = source.CreateBatch();
        var insert = new NpgsqlBatchCommand(
            """
            INSERT INTO arus_cluster (cluster_id, orleans_cluster_id, orleans_service_id) VALUES (@id, @cluster, @service)
            ON CONFLICT DO NOTHING
            """);
        insert.Parameters.AddWithValue("id", ClusterIdentity.NewId());
        insert.Parameters.AddWithValue("cluster", cluster);
        insert.Parameters.AddWithValue("service", service);
        batch.BatchCommands.Add(insert);
        batch.BatchCommands.Add(new NpgsqlBatchCommand("SELECT cluster_id, orleans_cluster_id, orleans_service_id FROM arus_cluster"));
        await using NpgsqlDataReader row = await batch.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        await row.ReadAsync(cancellationToken).ConfigureAwait(false);
        (string clusterId, string itsCluster, string itsService) = (row.GetString(0), row.GetString(1), row.GetString(2));
        return (itsCluster, itsService) == (cluster, service)
            ? clusterId
            : throw new StartRefusedException(
                $"The database belongs to the cluster with {BrokerConfigs.OrleansClusterId}={itsCluster} and " +
                $"{BrokerConfigs.OrleansServiceId}={itsService}, but this broker has {cluster} and {service}: " +
                "give the broker its cluster's ids, or another database.");
    }

    /// <summary>
    /// Another broker of this number that answers is refused here, in one line and before it could disturb the other. One that was killed
    /// is in the table as well, until the others find out; who cannot be reached is theirs to judge.
    /// </summary>
    private async Task<bool> CheckNumberAsync(CancellationToken cancellationToken)
    {
        EndpointOptions mine = endpoints.Value;
        await using NpgsqlCommand select = source.CreateCommand(
            """
            SELECT address, port FROM arus_membership
            WHERE cluster = @cluster AND silo_name = @name AND status = 3 AND NOT (address = @address AND port = @port)
            """);
        select.Parameters.AddWithValue("cluster", config.GetString(BrokerConfigs.OrleansClusterId)!);
        select.Parameters.AddWithValue("name", BrokerNames.SiloName(config.GetInt(BrokerConfigs.BrokerId)));
        select.Parameters.AddWithValue("address", mine.AdvertisedIPAddress?.ToString() ?? "");
        select.Parameters.AddWithValue("port", mine.SiloPort);
        var others = new List<IPEndPoint>();
        await using (NpgsqlDataReader rows = await select.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false))
        {
            while (await rows.ReadAsync(cancellationToken).ConfigureAwait(false))
                others.Add(new IPEndPoint(IPAddress.Parse(rows.GetString(0)), rows.GetInt32(1)));
        }

        foreach (IPEndPoint other in others)
        {
            if (await SiloEndpoints.AnswersAsync(other, cancellationToken).ConfigureAwait(false))
            {
                throw new StartRefusedException(
                    $"{BrokerConfigs.BrokerId}={config.GetInt(BrokerConfigs.BrokerId)} is in use by another live broker, whose silo " +
                    $"is at {other}: give this broker another number.");
            }
        }

        return true;
    }

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "The database has synchronous_commit=off: when its machine crashes, it forgets what the cluster has acknowledged")]
    private partial void LogAsynchronousCommits();

    [LoggerMessage(
        Level = LogLevel.Warning, Message = "The database at {Where} cannot be reached; trying again for {Seconds} s: {Reason}")]
    private partial void LogUnreachable(string where, double seconds, string reason);
}
