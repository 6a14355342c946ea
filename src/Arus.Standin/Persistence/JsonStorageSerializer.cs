using System.Text.Json;

namespace Orleans.Storage;

/// <summary>States as JSON, unless a provider is told otherwise. (Orleans' default is Newtonsoft's; this is the framework's.)</summary>
internal sealed class JsonStorageSerializer : IGrainStorageSerializer
{
    public BinaryData Serialize<T>(T? input) => new(JsonSerializer.SerializeToUtf8Bytes(input));

    public T? Deserialize<T>(BinaryData input) => JsonSerializer.Deserialize<T>(input);
}
