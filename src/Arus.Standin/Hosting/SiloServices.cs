using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Orleans.Runtime.Hosting;

internal static class SiloServices
{
    public static ISiloBuilder AddTo(IServiceCollection services, IConfiguration configuration)
    {
        return new SiloBuilder(services, configuration);
    }
}

internal static class ClientServices
{
    public static IClientBuilder AddTo(IServiceCollection services, IConfiguration configuration)
    {
        return new ClientBuilder(services, configuration);
    }
}
