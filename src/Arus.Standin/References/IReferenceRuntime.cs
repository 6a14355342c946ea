namespace Orleans.Runtime;

/// <summary>Makes grain references; a silo and a client are one each.</summary>
internal interface IReferenceRuntime
{
    /// <param name="interfaceType">A grain interface or an observer interface.</param>
    GrainReference GetReference(GrainId grainId, Type interfaceType);
}
