namespace Orleans.Runtime;

internal abstract partial class RuntimeCore
{
    public TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithStringKey
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(primaryKey);
        return (TGrainInterface)(object)Create(typeof(TGrainInterface), IdSpan.Create(primaryKey), grainClassNamePrefix);
    }

    public TGrainInterface GetGrain<TGrainInterface>(long primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithIntegerKey =>
        (TGrainInterface)(object)Create(typeof(TGrainInterface), GrainIdKeyExtensions.CreateIntegerKey(primaryKey), grainClassNamePrefix);

    public TGrainInterface GetGrain<TGrainInterface>(Guid primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithGuidKey =>
        (TGrainInterface)(object)Create(typeof(TGrainInterface), GrainIdKeyExtensions.CreateGuidKey(primaryKey), grainClassNamePrefix);

    public TGrainInterface GetGrain<TGrainInterface>(Guid primaryKey, string keyExtension, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithGuidCompoundKey =>
        (TGrainInterface)(object)Create(typeof(TGrainInterface), GrainIdKeyExtensions.CreateGuidKey(primaryKey, keyExtension), grainClassNamePrefix);

    public TGrainInterface GetGrain<TGrainInterface>(long primaryKey, string keyExtension, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithIntegerCompoundKey =>
        (TGrainInterface)(object)Create(typeof(TGrainInterface), GrainIdKeyExtensions.CreateIntegerKey(primaryKey, keyExtension), grainClassNamePrefix);

    public TGrainInterface GetGrain<TGrainInterface>(GrainId grainId)
        where TGrainInterface : IAddressable =>
        (TGrainInterface)(object)GetReference(grainId, typeof(TGrainInterface));

    public IGrain GetGrain(Type grainInterfaceType, Guid grainPrimaryKey) =>
        (IGrain)Create(grainInterfaceType, GrainIdKeyExtensions.CreateGuidKey(grainPrimaryKey), null);

    public IGrain GetGrain(Type grainInterfaceType, long grainPrimaryKey) =>
        (IGrain)Create(grainInterfaceType, GrainIdKeyExtensions.CreateIntegerKey(grainPrimaryKey), null);

    public IGrain GetGrain(Type grainInterfaceType, string grainPrimaryKey)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(grainPrimaryKey);
        return (IGrain)Create(grainInterfaceType, IdSpan.Create(grainPrimaryKey), null);
    }

    public TGrainObserverInterface CreateObjectReference<TGrainObserverInterface>(IGrainObserver obj)
        where TGrainObserverInterface : IGrainObserver =>
        (TGrainObserverInterface)(object)GetReference(Observers.Add(obj), typeof(TGrainObserverInterface));

    public void DeleteObjectReference<TGrainObserverInterface>(IGrainObserver obj)
        where TGrainObserverInterface : IGrainObserver
    {
        if (obj is not GrainReference reference)
        {
            throw new ArgumentException("Pass the reference that CreateObjectReference answered.", nameof(obj));
        }

        Observers.Remove(reference.GrainId);
    }

    /// <param name="interfaceType">A grain interface or an observer interface.</param>
    public GrainReference GetReference(GrainId grainId, Type interfaceType) => Interfaces.Get(interfaceType).CreateReference(grainId);

    private GrainReference Create(Type interfaceType, IdSpan key, string? classPrefix)
    {
        InterfaceMap map = Interfaces.Get(interfaceType);
        return map.CreateReference(new GrainId(GrainTypes.Resolve(map, classPrefix), key));
    }
}
