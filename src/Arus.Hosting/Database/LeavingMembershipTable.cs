using Microsoft.Extensions.Hosting;
using Orleans.Runtime;

namespace Arus.Hosting.Database;

/// <summary>
/// The membership table, of which a silo that stops can take leave while the database is away. Orleans tries for minutes to write that the
/// silo leaves, and stops nothing before; but a broker has to close its logs in time. So once the process is told to stop, an access that
/// fails is not tried again: reads answer what was read last, and writes count as done. The row stays as it is, and the other silos find
/// the silo dead as if it had been killed. Safe for use by any thread.
/// </summary>
internal sealed class LeavingMembershipTable(IMembershipTable table, IHostApplicationLifetime lifetime) : IMembershipTable
{
    /// <summary>Of one access while the process stops.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private volatile MembershipTableData? _last;
    private volatile bool _isAway;

    public Task InitializeMembershipTableAsync(bool tryInitTableVersion, CancellationToken cancellationToken = default) =>
        table.InitializeMembershipTableAsync(tryInitTableVersion, cancellationToken);

    public Task DeleteMembershipTableEntriesAsync(string clusterId, CancellationToken cancellationToken = default) =>
        table.DeleteMembershipTableEntriesAsync(clusterId, cancellationToken);

    public Task CleanupDefunctSiloEntriesAsync(DateTimeOffset beforeDate, CancellationToken cancellationToken = default) =>
        table.CleanupDefunctSiloEntriesAsync(beforeDate, cancellationToken);

    public async Task<MembershipTableData> ReadAllAsync(CancellationToken cancellationToken = default) =>
        _last = await LeaveAsync(token => table.ReadAllAsync(token), _last, cancellationToken).ConfigureAwait(false);

    public Task<MembershipTableData> ReadRowAsync(SiloAddress key, CancellationToken cancellationToken = default) =>
        LeaveAsync(token => table.ReadRowAsync(key, token), _last, cancellationToken);

    public Task<bool> InsertRowAsync(MembershipEntry entry, TableVersion tableVersion, CancellationToken cancellationToken = default) =>
        table.InsertRowAsync(entry, tableVersion, cancellationToken);

    public async Task<bool> UpdateRowAsync(
        MembershipEntry entry, string etag, TableVersion tableVersion, CancellationToken cancellationToken = default) =>
        (bool)await LeaveAsync<object>(
            async token => await table.UpdateRowAsync(entry, etag, tableVersion, token).ConfigureAwait(false), true, cancellationToken)
            .ConfigureAwait(false);

    public Task UpdateIAmAliveAsync(MembershipEntry entry, CancellationToken cancellationToken = default) =>
        table.UpdateIAmAliveAsync(entry, cancellationToken);

    Task IMembershipTable.InitializeMembershipTable(bool tryInitTableVersion) => InitializeMembershipTableAsync(tryInitTableVersion);

    Task IMembershipTable.DeleteMembershipTableEntries(string clusterId) => DeleteMembershipTableEntriesAsync(clusterId);

    Task IMembershipTable.CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => CleanupDefunctSiloEntriesAsync(beforeDate);

    Task<MembershipTableData> IMembershipTable.ReadRow(SiloAddress key) => ReadRowAsync(key);

    Task<MembershipTableData> IMembershipTable.ReadAll() => ReadAllAsync();

    Task<bool> IMembershipTable.InsertRow(MembershipEntry entry, TableVersion tableVersion) => InsertRowAsync(entry, tableVersion);

    Task<bool> IMembershipTable.UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) =>
        UpdateRowAsync(entry, etag, tableVersion);

    Task IMembershipTable.UpdateIAmAlive(MembershipEntry entry) => UpdateIAmAliveAsync(entry);

    /// <param name="otherwise">What a process that stops is answered when the access fails; null to let it fail.</param>
    private async Task<T> LeaveAsync<T>(Func<CancellationToken, Task<T>> access, T? otherwise, CancellationToken cancellationToken)
        where T : class
    {
        if (!lifetime.ApplicationStopping.IsCancellationRequested || otherwise is null)
            return await access(cancellationToken).ConfigureAwait(false);

        if (_isAway)
            return otherwise;

        try
        {
            return await access(cancellationToken).WaitAsync(Patience, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            _isAway = true;
            return otherwise;
        }
    }
}
