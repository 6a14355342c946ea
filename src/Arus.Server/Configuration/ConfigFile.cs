using System.Text.Json;

namespace Arus.Server;

/// <summary>
/// Reads a configuration file: one JSON object of keys with text, numbers or booleans; comments and trailing commas are allowed.
/// </summary>
internal static class ConfigFile
{
    private const long MaxBytes = 1024 * 1024;

    public static Dictionary<string, ConfigValue> Read(string path, List<string> faults)
    {
        var values = new Dictionary<string, ConfigValue>(StringComparer.Ordinal);
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
            {
                faults.Add($"the configuration file {path} is larger than {MaxBytes} bytes");
                return values;
            }

            var options = new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path), options);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                faults.Add($"the configuration file {path} is not one JSON object of keys and values");
                return values;
            }

            foreach (JsonProperty property in document.RootElement.EnumerateObject())
                Add(path, property, values, faults);
        }
        catch (JsonException e)
        {
            faults.Add($"the configuration file {path} is not valid JSON, at line {e.LineNumber + 1}: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            faults.Add($"the configuration file {path} cannot be read: {e.Message}");
        }

        return values;
    }

    private static void Add(string path, JsonProperty property, Dictionary<string, ConfigValue> values, List<string> faults)
    {
        string? text = property.Value.ValueKind switch
        {
            JsonValueKind.String => property.Value.GetString(),
            JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False => property.Value.GetRawText(),
            _ => null,
        };
        if (text is null)
        {
            faults.Add(
                $"{property.Name} has a value of kind {property.Value.ValueKind.ToString().ToLowerInvariant()}; " +
                $"allowed: text, a number, true, false (from {path})");
        }
        else if (!values.TryAdd(property.Name, new ConfigValue(text, ConfigSource.StaticBroker, path)))
        {
            faults.Add($"{property.Name} is there twice (from {path})");
        }
    }
}
