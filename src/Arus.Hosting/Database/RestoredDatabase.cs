using System.Net;
using Arus.Hosting.Clustering;
using Npgsql;
using Orleans.Runtime;

namespace Arus.Hosting.Database;

/// <summary>A cluster's database that was restored from a backup, before brokers use it.</summary>
internal static class RestoredDatabase
{
    /// <summary>
    /// Forgets who leads and who is in sync: since the backup was made, others may have been, and a replica that is elected by what was
    /// true then lacks what was acknowledged later. Without members in sync no leader is elected until an operator says so. The silos of
    /// then are forgotten, too.
    /// </summary>
    /// <returns>How many partitions have no leader now.</returns>
    /// <exception cref="StartRefusedException">There is no schema, or a broker is running with the database.</exception>
    public static async Task<int> ForgetLeadersAsync(NpgsqlDataSource source, CancellationToken cancellation)
    {
        await DatabaseSchema.CheckAsync(source, cancellation).ConfigureAwait(false);
        await RefuseIfInUseAsync(source, cancellation).ConfigureAwait(false);
        await using NpgsqlBatch batch = source.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand("DELETE FROM arus_membership"));
        batch.BatchCommands.Add(new NpgsqlBatchCommand(
            """
            WITH forgotten AS (
                UPDATE arus_partition_state
                SET version = nextval('arus_partition_version'), leader = -1, isr = '{}', isr_logs = '{}', elr = '{}', elr_logs = '{}',
                    target = '{}', changed_at = now()
                WHERE leader_epoch >= 0 AND NOT is_shared AND NOT is_deleted
                RETURNING 1
            )
            SELECT count(*)::integer FROM forgotten
            """));
        return (int)(await batch.ExecuteScalarAsync(cancellation).ConfigureAwait(false))!;
    }

    private static async Task RefuseIfInUseAsync(NpgsqlDataSource source, CancellationToken cancellation)
    {
        await using NpgsqlCommand select = source.CreateCommand(
            "SELECT silo_name, address, port FROM arus_membership WHERE status = @active");
        select.Parameters.AddWithValue("active", (int)SiloStatus.Active);
        var silos = new List<(string Name, IPEndPoint Address)>();
        await using (NpgsqlDataReader rows = await select.ExecuteReaderAsync(cancellation).ConfigureAwait(false))
        {
            while (await rows.ReadAsync(cancellation).ConfigureAwait(false))
                silos.Add((rows.GetString(0), new IPEndPoint(IPAddress.Parse(rows.GetString(1)), rows.GetInt32(2))));
        }

        foreach ((string name, IPEndPoint address) in silos)
        {
            if (await SiloEndpoints.AnswersAsync(address, cancellation).ConfigureAwait(false))
            {
                throw new StartRefusedException(
                    $"A process answers at {address}, where the silo {name} of this database was: stop all brokers first.");
            }
        }
    }
}
