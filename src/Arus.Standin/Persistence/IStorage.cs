namespace Orleans
{
    /// <summary>A grain's state with what storage knows of it.</summary>
    public interface IGrainState<T>
    {
        T? State { get; set; }

        /// <summary>Which version this is; null when there is none in storage.</summary>
        string? ETag { get; set; }

        bool RecordExists { get; set; }
    }

    /// <inheritdoc cref="IGrainState{T}"/>
    [GenerateSerializer]
    public sealed class GrainState<T> : IGrainState<T>
    {
        public GrainState()
        {
        }

        public GrainState(T? state)
            : this(state, null)
        {
        }

        public GrainState(T? state, string? eTag)
        {
            State = state;
            ETag = eTag;
        }

        [Id(0)]
        public T? State { get; set; }

        [Id(1)]
        public string? ETag { get; set; }

        [Id(2)]
        public bool RecordExists { get; set; }
    }
}

namespace Orleans.Core
{
    /// <summary>One state of a grain, as the grain sees it.</summary>
    public interface IStorage
    {
        string? Etag { get; }

        bool RecordExists { get; }

        /// <summary>Removes the record; the state becomes an empty one.</summary>
        /// <exception cref="Storage.InconsistentStateException">Another has written since this state was read or written.</exception>
        Task ClearStateAsync();

        /// <summary>Writes the state, if the record is still the one that was last read or written.</summary>
        /// <exception cref="Storage.InconsistentStateException">Another has written since this state was read or written.</exception>
        Task WriteStateAsync();

        /// <summary>Replaces the state by what storage holds.</summary>
        Task ReadStateAsync();

        Task ClearStateAsync(CancellationToken cancellationToken) => ClearStateAsync();

        Task WriteStateAsync(CancellationToken cancellationToken) => WriteStateAsync();

        Task ReadStateAsync(CancellationToken cancellationToken) => ReadStateAsync();
    }

    /// <inheritdoc/>
    public interface IStorage<TState> : IStorage
    {
        TState State { get; set; }
    }
}

namespace Orleans.Storage
{
    /// <summary>
    /// Where states are kept. A write or clear succeeds only if <see cref="IGrainState{T}.ETag"/> is that of the stored record
    /// (null when there is none); otherwise it throws <see cref="InconsistentStateException"/>.
    /// </summary>
    public interface IGrainStorage
    {
        Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) =>
            ReadStateAsync(stateName, grainId, grainState);

        Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) =>
            WriteStateAsync(stateName, grainId, grainState);

        Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState);

        Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState, CancellationToken cancellationToken) =>
            ClearStateAsync(stateName, grainId, grainState);
    }

    /// <summary>Turns states into what a provider stores, and back.</summary>
    public interface IGrainStorageSerializer
    {
        BinaryData Serialize<T>(T? input);

        T? Deserialize<T>(BinaryData input);
    }

    public static class GrainStorageSerializerExtensions
    {
        public static T? Deserialize<T>(this IGrainStorageSerializer serializer, ReadOnlyMemory<byte> input) =>
            serializer.Deserialize<T>(new BinaryData(input));
    }

    /// <summary>Options of a provider that lets its user choose the serializer.</summary>
    public interface IStorageProviderSerializerOptions
    {
        IGrainStorageSerializer GrainStorageSerializer { get; set; }
    }
}
