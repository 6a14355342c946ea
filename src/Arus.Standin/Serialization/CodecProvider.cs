using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace Orleans.Serialization;

/// <summary>Finds the codec of a type, building it on first use. One for each silo or client. Thread-safe.</summary>
internal sealed class CodecProvider
{
    private readonly ConcurrentDictionary<Type, Codec> _codecs = new();
    private readonly Lock _building = new();
    private readonly Dictionary<Type, Codec> _unfinished = [];
    private readonly Converters _converters = new();

    private readonly Func<IReferenceConverter?> _findReferences;
    private IReferenceConverter? _references;

    /// <summary>A provider that knows of no grain references.</summary>
    public CodecProvider() => _findReferences = static () => null;

    /// <param name="findReferences">Asked when the first reference is sent: what converts references may itself need codecs.</param>
    public CodecProvider(Func<IReferenceConverter?> findReferences) => _findReferences = findReferences;

    public IReferenceConverter? References => _references ??= _findReferences();

    public TypeNames Names { get; } = new();

    /// <summary>The codec of <typeparamref name="T"/>; callers on hot paths keep it.</summary>
    /// <exception cref="CodecNotFoundException">Nothing says how to serialize the type, or a type within it.</exception>
    public Codec<T> Get<T>() => (Codec<T>)Get(typeof(T));

    /// <inheritdoc cref="Get{T}"/>
    public Codec Get(Type type) => _codecs.TryGetValue(type, out Codec? codec) ? codec : Build(type);

    public bool TryGet(Type type, [NotNullWhen(true)] out Codec? codec)
    {
        try
        {
            codec = Get(type);
            return true;
        }
        catch (CodecNotFoundException)
        {
            codec = null;
            return false;
        }
    }

    private Codec Build(Type type)
    {
        lock (_building)
        {
            // A type may contain itself: then this finds its codec unfinished, which is enough to refer to it. Nothing unfinished
            // is seen outside of the lock.
            if (_codecs.TryGetValue(type, out Codec? codec) || _unfinished.TryGetValue(type, out codec))
            {
                return codec;
            }

            bool outermost = _unfinished.Count == 0;
            try
            {
                codec = CodecFactory.Create(type, this, _converters);
                _unfinished.Add(type, codec);
                (codec as IBuiltCodec)?.Build(this);
                if (outermost)
                {
                    foreach ((Type built, Codec finished) in _unfinished)
                    {
                        _codecs[built] = finished;
                    }
                }

                return codec;
            }
            catch (CodecNotFoundException missing) when (!missing.Message.Contains(type.ToString(), StringComparison.Ordinal))
            {
                throw new CodecNotFoundException($"{missing.Message} It is part of {type}.");
            }
            finally
            {
                if (outermost)
                {
                    _unfinished.Clear();
                }
            }
        }
    }
}

/// <summary>A codec that needs the codecs of other types, which may in turn need it.</summary>
internal interface IBuiltCodec
{
    /// <summary>Called once, before the codec is used, when it can already be found by others.</summary>
    void Build(CodecProvider provider);
}
