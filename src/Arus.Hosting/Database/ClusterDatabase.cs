using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Npgsql;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Runtime.Hosting;
using Orleans.Runtime.MembershipService;
using Orleans.Storage;

namespace Arus.Hosting.Database;

/// <summary>How a silo uses its cluster's database: one pool of connections for membership, grain storage and partition states.</summary>
internal static class ClusterDatabase
{
    /// <summary>The provider's name for PostgreSQL's driver.</summary>
    private const string Invariant = "Npgsql";

    /// <summary>The name of the provider under <see cref="DatabaseGrainStorage"/>.</summary>
    private const string ProviderName = "arus-database";

    /// <summary>Whether the broker belongs to a cluster with a database.</summary>
    public static bool IsUsedBy(BrokerConfig config) => config.GetString(BrokerConfigs.Database) is not null;

    /// <summary>Adds the stores of a cluster, and the check of the database before the silo starts.</summary>
    public static void AddStores(ISiloBuilder silo, BrokerConfig config)
    {
        AddSource(silo.Services, config);
        silo.Services.AddSingleton<LostSilos>();
        silo.Services.AddHostedService(services => ActivatorUtilities.CreateInstance<DatabaseStart>(services, config));
        silo.Services.AddSingleton<IPartitionStateStore>(static services => new NpgsqlPartitionStateStore(
            services.GetRequiredService<NpgsqlDataSource>(), SiloLife.Of(services.GetRequiredService<ILocalSiloDetails>())));
        silo.AddAdoNetGrainStorage(
            ProviderName, options => options.Configure<NpgsqlDataSource>(Configure));
        silo.Services.AddGrainStorage(StorageNames.Metadata, static (services, _) =>
            new DatabaseGrainStorage(services.GetRequiredKeyedService<IGrainStorage>(ProviderName)));
    }

    public static void AddMembership(ISiloBuilder silo, BrokerConfig config)
    {
        AddSource(silo.Services, config);
        silo.UseAdoNetClustering(builder => builder.Configure<NpgsqlDataSource>(
            static (options, source) => (options.Invariant, options.DataSource) = (Invariant, source)));
        silo.Services.Replace(ServiceDescriptor.Singleton<IMembershipTable>(static services => new LeavingMembershipTable(
            ActivatorUtilities.CreateInstance<AdoNetClusteringTable>(services),
            services.GetRequiredService<IHostApplicationLifetime>())));
    }

    /// <summary>Of the grain storage: states that are cleared leave no row.</summary>
    internal static void Configure(AdoNetGrainStorageOptions options, NpgsqlDataSource source)
    {
        options.Invariant = Invariant;
        options.DataSource = source;
        options.DeleteStateOnClear = true;
        options.GrainStorageSerializer = new DatabaseStateSerializer();
    }

    private static void AddSource(IServiceCollection services, BrokerConfig config) => services.TryAddSingleton(
        _ => DatabaseSource.Create(config.GetString(BrokerConfigs.Database)!, $"arus-broker-{config.GetInt(BrokerConfigs.BrokerId)}"));
}
