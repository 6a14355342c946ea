using System.Globalization;
using System.Text;

namespace Orleans
{
    /// <summary>The grain class's name in grain ids; without it, the class name in lower case without "Grain".</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public sealed class GrainTypeAttribute(string grainType) : Attribute
    {
        internal string Name { get; } = grainType;

        public GrainType GetGrainType(IServiceProvider services, Type type) => GrainType.Create(Name);
    }

    /// <summary>Idle time after which an activation of this class is collected, instead of <c>GrainCollectionOptions.CollectionAge</c>.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public class CollectionAgeLimitAttribute : Attribute
    {
        public static readonly TimeSpan MinAgeLimit = TimeSpan.FromMinutes(1);

        private readonly TimeSpan? _period;

        public CollectionAgeLimitAttribute()
        {
        }

        public CollectionAgeLimitAttribute(string inactivityPeriod) => _period = TimeSpan.Parse(inactivityPeriod, CultureInfo.InvariantCulture);

        public bool AlwaysActive { get; set; }

        public double Days { get; set; }

        public double Hours { get; set; }

        public double Minutes { get; set; }

        public TimeSpan AgeLimit => AlwaysActive
            ? Timeout.InfiniteTimeSpan
            : _period ?? TimeSpan.FromDays(Days) + TimeSpan.FromHours(Hours) + TimeSpan.FromMinutes(Minutes);
    }

    /// <summary>Activations of this class are not collected for being idle.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public class KeepAliveAttribute : Attribute;
}

namespace Orleans.Placement
{
    /// <summary>Says where activations of a grain class are put.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public abstract class PlacementAttribute : Attribute
    {
        protected PlacementAttribute(PlacementStrategy placement)
        {
            ArgumentNullException.ThrowIfNull(placement);
            PlacementStrategy = placement;
        }

        public PlacementStrategy PlacementStrategy { get; }
    }

    /// <summary>The silo of the first caller.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public sealed class PreferLocalPlacementAttribute() : PlacementAttribute(new PreferLocalPlacement());

    /// <summary>Any silo.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public sealed class RandomPlacementAttribute() : PlacementAttribute(new RandomPlacement());

    /// <summary>The silo that the grain's id hashes to among the live ones.</summary>
    [AttributeUsage(AttributeTargets.Class, AllowMultiple = false)]
    public sealed class HashBasedPlacementAttribute() : PlacementAttribute(new HashBasedPlacement());
}

namespace Orleans.Runtime
{
    /// <summary>Decides where a new activation goes; an <see cref="Placement.IPlacementDirector"/> carries it out.</summary>
    public abstract class PlacementStrategy
    {
        /// <summary>False for grains that have an activation wherever they are called.</summary>
        public virtual bool IsUsingGrainDirectory => true;
    }

    [GenerateSerializer, Immutable, SuppressReferenceTracking]
    public sealed class PreferLocalPlacement : PlacementStrategy;

    [GenerateSerializer, Immutable, SuppressReferenceTracking]
    public sealed class RandomPlacement : PlacementStrategy;

    [GenerateSerializer, Immutable, SuppressReferenceTracking]
    public sealed class HashBasedPlacement : PlacementStrategy;

    internal sealed class StatelessWorkerPlacement(int maxLocalWorkers) : PlacementStrategy
    {
        public int MaxLocal { get; } = maxLocalWorkers > 0 ? maxLocalWorkers : Environment.ProcessorCount;

        public override bool IsUsingGrainDirectory => false;
    }

    /// <summary>The interface's name on the wire, instead of its alias or full name.</summary>
    [AttributeUsage(AttributeTargets.Interface, AllowMultiple = false)]
    public sealed class GrainInterfaceTypeAttribute(string value) : Attribute
    {
        internal string Name { get; } = value;

        public GrainInterfaceType GetGrainInterfaceType(IServiceProvider services, Type type) => GrainInterfaceType.Create(Name);
    }
}
