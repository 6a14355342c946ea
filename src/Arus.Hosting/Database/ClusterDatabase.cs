using Npgsql;
using Orleans.Configuration;

namespace Arus.Hosting.Database;

/// <summary>How a silo uses its cluster's database.</summary>
internal static class ClusterDatabase
{
    /// <summary>The provider's name for PostgreSQL's driver.</summary>
    public const string Invariant = "Npgsql";

    /// <summary>Of the grain storage: states that are cleared leave no row.</summary>
    public static AdoNetGrainStorageOptions StorageOptions(NpgsqlDataSource source)
    {
        var options = new AdoNetGrainStorageOptions();
        Configure(options, source);
        return options;
    }

    public static void Configure(AdoNetGrainStorageOptions options, NpgsqlDataSource source)
    {
        options.Invariant = Invariant;
        options.DataSource = source;
        options.DeleteStateOnClear = true;
        options.GrainStorageSerializer = new DatabaseStateSerializer();
    }
}
