using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Core;
using Orleans.Storage;

namespace Orleans.Runtime
{
    /// <summary>A state that is read before its grain's <c>OnActivateAsync</c>; a constructor parameter with <see cref="PersistentStateAttribute"/>.</summary>
    public interface IPersistentState<TState> : IStorage<TState>;

    public interface IPersistentStateConfiguration
    {
        string StateName { get; }

        /// <summary>The name that the provider was registered under; null for the default one.</summary>
        string? StorageName { get; }
    }

    public interface IPersistentStateFactory
    {
        IPersistentState<TState> Create<TState>(IGrainContext context, IPersistentStateConfiguration config);
    }

    /// <summary>Names the state and the provider that keeps it.</summary>
    [AttributeUsage(AttributeTargets.Parameter)]
    public class PersistentStateAttribute(string stateName, string? storageName = null) : Attribute, IFacetMetadata, IPersistentStateConfiguration
    {
        public string StateName { get; } = stateName;

        public string? StorageName { get; } = storageName;
    }

    /// <inheritdoc/>
    public class PersistentStateFactory : IPersistentStateFactory
    {
        public IPersistentState<TState> Create<TState>(IGrainContext context, IPersistentStateConfiguration cfg)
        {
            IGrainStorage? storage = string.IsNullOrWhiteSpace(cfg.StorageName)
                ? context.ActivationServices.GetService<IGrainStorage>()
                : context.ActivationServices.GetKeyedService<IGrainStorage>(cfg.StorageName);
            if (storage is null)
            {
                throw new BadProviderConfigException(string.IsNullOrEmpty(cfg.StorageName)
                    ? $"No default storage provider found loading grain type {context.GrainId.Type}."
                    : $"No storage provider named \"{cfg.StorageName}\" found loading grain type {context.GrainId.Type}.");
            }

            return new PersistentState<TState>(GetFullStateName(context, cfg), context, storage);
        }

        protected virtual string GetFullStateName(IGrainContext context, IPersistentStateConfiguration cfg) => cfg.StateName;
    }

    internal sealed class PersistentState<TState> : StateStorageBridge<TState>, IPersistentState<TState>, ILifecycleObserver
    {
        public PersistentState(string stateName, IGrainContext context, IGrainStorage storage) : base(stateName, context, storage) =>
            context.ObservableLifecycle.Subscribe($"State {stateName}", GrainLifecycleStage.SetupState, this);

        Task ILifecycleObserver.OnStart(CancellationToken cancellationToken) => ReadStateAsync();

        Task ILifecycleObserver.OnStop(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}

namespace Orleans
{
    /// <summary>Serves constructor parameters with <see cref="PersistentStateAttribute"/>.</summary>
    public class PersistentStateAttributeMapper : IAttributeToFactoryMapper<PersistentStateAttribute>
    {
        private static readonly MethodInfo _create = typeof(IPersistentStateFactory).GetMethod(nameof(IPersistentStateFactory.Create))!;

        public Factory<IGrainContext, object> GetFactory(ParameterInfo parameter, PersistentStateAttribute attribute)
        {
            Type type = parameter.ParameterType;
            if (!type.IsConstructedGenericType || type.GetGenericTypeDefinition() != typeof(IPersistentState<>))
            {
                throw new ArgumentException(
                    $"Parameter '{parameter.Name}' on the constructor for '{parameter.Member.DeclaringType}' has an unsupported type, '{type}'. "
                    + $"It must be an instance of generic type '{typeof(IPersistentState<>)}' because it has an associated [PersistentState(...)] attribute.",
                    nameof(parameter));
            }

            IPersistentStateConfiguration configuration = string.IsNullOrEmpty(attribute.StateName)
                ? new PersistentStateAttribute(parameter.Name!, attribute.StorageName)
                : attribute;
            MethodInfo create = _create.MakeGenericMethod(type.GetGenericArguments());
            return context => create.Invoke(
                context.ActivationServices.GetRequiredService<IPersistentStateFactory>(),
                BindingFlags.DoNotWrapExceptions, binder: null, [context, configuration], culture: null)!;
        }
    }
}
