using System.CommandLine;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus cluster restore-metadata</c></summary>
internal static class RestoreMetadataCommand
{
    private static readonly Option<bool> Force = new("--force")
    {
        Description = "also where a replica is away: records that only it has are lost",
    };

    public static Command Build(Application application) => application.Connected(
        new Command(
            "restore-metadata",
            "Elect leaders where the database, restored from a backup, does not know who is in sync: the replicas whose logs go furthest.")
        {
            Force,
        },
        async run => OutcomeTable.Write(
            run, await run.Admin.RestoreMetadataAsync(run.Get(Force), run.Cancellation), ErrorCode.None, "restored",
            "The database knows the leader of every partition."));
}
