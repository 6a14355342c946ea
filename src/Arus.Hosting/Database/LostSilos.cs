using System.Net;
using Arus.Hosting.Clustering;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans.Configuration;

namespace Arus.Hosting.Database;

/// <summary>
/// Silos that the membership table calls active, when none of them is. A silo that joins waits for an answer of every active one, and only
/// active silos declare others dead: after the whole cluster was killed, a broker would wait for machines that never come back. So a
/// broker that starts takes the place of those who are not there: if it reaches none of the active silos, and none of them has written to
/// the table for as long as Orleans itself allows, it declares them dead.
/// </summary>
internal sealed partial class LostSilos(
    NpgsqlDataSource source, IOptions<ClusterOptions> cluster, IOptions<ClusterMembershipOptions> membership, TimeProvider time,
    ILogger<LostSilos> logger)
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(2);

    /// <summary>After so long Orleans takes an entry for stale.</summary>
    private TimeSpan AllowedSilence => membership.Value.IAmAliveTablePublishTimeout * membership.Value.NumMissedTableIAmAliveLimit;

    /// <summary>Looks until there is an active silo that answers, or no active one any more, or the broker has started.</summary>
    public async Task WatchAsync(CancellationToken started)
    {
        try
        {
            while (!await IsClearedAsync(started).ConfigureAwait(false))
                await Task.Delay(Pause, time, started).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The broker has started, or its start was given up.
        }
        catch (NpgsqlException e)
        {
            // The silo's own accesses to the table meet the same, and report it.
            System.Diagnostics.Debug.WriteLine(e.Message);
        }
    }

    /// <returns>Whether there is nothing to wait for.</returns>
    private async Task<bool> IsClearedAsync(CancellationToken cancellationToken)
    {
        (int version, List<(IPEndPoint Endpoint, int Generation, bool IsStale)> active) =
            await ReadAsync(cancellationToken).ConfigureAwait(false);
        if (active.Count == 0)
            return true;

        bool[] answers = await Task.WhenAll(active.Select(silo => SiloEndpoints.AnswersAsync(silo.Endpoint, cancellationToken)))
            .ConfigureAwait(false);
        if (answers.Contains(true))
            return true;

        if (active.Any(silo => !silo.IsStale))
            return false;

        if (!await DeclareDeadAsync(version, active, cancellationToken).ConfigureAwait(false))
            return false;

        LogDeclaredDead(string.Join(", ", active.Select(silo => silo.Endpoint)), AllowedSilence.TotalSeconds);
        return true;
    }

    private async Task<(int Version, List<(IPEndPoint Endpoint, int Generation, bool IsStale)> Active)> ReadAsync(
        CancellationToken cancellationToken)
    {
        await using NpgsqlCommand select = source.CreateCommand(
            """
            SELECT v.version, s.address, s.port, s.generation, s.alive_at < now() - @allowed
            FROM arus_membership_version v JOIN arus_membership s USING (cluster) WHERE cluster = @cluster AND s.status = 3
            """);
        select.Parameters.AddWithValue("cluster", cluster.Value.ClusterId);
        select.Parameters.AddWithValue("allowed", AllowedSilence);
        int version = 0;
        var active = new List<(IPEndPoint, int, bool)>();
        await using NpgsqlDataReader rows = await select.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        while (await rows.ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            version = rows.GetInt32(0);
            active.Add((new IPEndPoint(IPAddress.Parse(rows.GetString(1)), rows.GetInt32(2)), rows.GetInt32(3), rows.GetBoolean(4)));
        }

        return (version, active);
    }

    /// <summary>Only if the table is as it was read: a silo that has come back since has changed it.</summary>
    private async Task<bool> DeclareDeadAsync(
        int version, List<(IPEndPoint Endpoint, int Generation, bool IsStale)> silos, CancellationToken cancellationToken)
    {
        await using NpgsqlCommand update = source.CreateCommand(
            """
            WITH next AS (
                UPDATE arus_membership_version SET version = version + 1 WHERE cluster = @cluster AND version = @version RETURNING cluster
            )
            UPDATE arus_membership s SET status = 6
            FROM next, unnest(@addresses, @ports, @generations) AS lost (address, port, generation)
            WHERE s.cluster = next.cluster AND (s.address, s.port, s.generation) = (lost.address, lost.port, lost.generation)
            """);
        update.Parameters.AddWithValue("cluster", cluster.Value.ClusterId);
        update.Parameters.AddWithValue("version", version);
        update.Parameters.AddWithValue("addresses", silos.Select(silo => silo.Endpoint.Address.ToString()).ToArray());
        update.Parameters.AddWithValue("ports", silos.Select(silo => silo.Endpoint.Port).ToArray());
        update.Parameters.AddWithValue("generations", silos.Select(silo => silo.Generation).ToArray());
        return await update.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false) > 0;
    }

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "The silos at {Endpoints} are declared dead: they are all that the cluster had, none answers, and none has been heard " +
            "of for {Seconds} s")]
    private partial void LogDeclaredDead(string endpoints, double seconds);
}
