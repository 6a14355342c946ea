using Orleans.Storage;

namespace Arus.Grains;

/// <summary>Where one coordinator's records are durable. One operation at a time but for <see cref="IsOwnerAsync"/>.</summary>
/// <typeparam name="TRecords">What the coordinator's state machine makes durable.</typeparam>
internal interface ICoordinatorStore<in TRecords>
{
    /// <summary>Whether anything is stored. What is not has no owner; the first write makes one.</summary>
    bool Exists { get; }

    /// <summary>Reads what is stored, and claims it: from then on all writes of earlier activations fail.</summary>
    /// <param name="claim">False to look only: then nothing may be written, and another may own what is stored.</param>
    /// <exception cref="InconsistentStateException">Another activation claims it at this moment.</exception>
    Task LoadAsync(bool claim);

    /// <summary>Makes records durable. After an exception what is stored is unknown, and the store must not be used any more.</summary>
    /// <exception cref="InconsistentStateException">Another activation is the owner.</exception>
    Task WriteAsync(TRecords records);

    /// <summary>Whether no other activation has claimed or created what is stored. May be called during a write.</summary>
    Task<bool> IsOwnerAsync();
}
