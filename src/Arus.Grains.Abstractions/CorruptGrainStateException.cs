using Orleans.Runtime;

namespace Arus.Grains;

/// <summary>A state's file cannot be read as what it should be. Nothing was changed; the file is left for inspection.</summary>
[GenerateSerializer, Alias("arus.CorruptGrainStateException")]
public sealed class CorruptGrainStateException(string path, string fault, Exception? innerException = null) : OrleansException(
    $"The grain state file {path} is corrupt: {fault}. Restore it from a backup; removing it loses the state that it holds.",
    innerException!)
{
    [Id(0)]
    public string Path { get; private set; } = path;
}
