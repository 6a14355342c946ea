using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>A stored state cannot be read as what it should be. Nothing was changed; what is stored is left for inspection.</summary>
[GenerateSerializer, Alias("arus.CorruptGrainStateException")]
public sealed class CorruptGrainStateException(string path, string fault, Exception? innerException = null) : OrleansException(
    $"The grain state {path} is corrupt: {fault}. Restore it from a backup; removing it loses the state that it holds.",
    innerException!)
{
    [Id(0)]
    public string Path { get; private set; } = path;
}
