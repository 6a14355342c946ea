using System.Reflection;

namespace Orleans
{
    public delegate TResult Factory<in TParam1, out TResult>(TParam1 param1);

    /// <summary>Marks attributes of constructor parameters whose arguments the runtime makes for each activation.</summary>
    public interface IFacetMetadata;
}

namespace Orleans.Runtime
{
    /// <summary>Makes the factory for a parameter with a <typeparamref name="TMetadata"/> attribute; found in the silo's services.</summary>
    public interface IAttributeToFactoryMapper<in TMetadata>
        where TMetadata : IFacetMetadata
    {
        Factory<IGrainContext, object> GetFactory(ParameterInfo parameter, TMetadata metadata);
    }
}
