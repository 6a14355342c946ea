using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;

namespace Arus.Grains.Tests;

/// <summary>
/// Every type that Arus' grains exchange survives the serializer and the copier with every member filled, and keeps its bytes.
/// messages.golden has them, a line for each type: its alias and the bytes. A type to which members are added gets a second line below the
/// first, since silos of the older version still send the older bytes. <c>UPDATE_GOLDEN=1 dotnet test tests/Arus.Grains.Tests</c> adds the
/// lines that are missing; lines of a type that is no more are deleted by hand.
/// </summary>
public sealed class MessageRoundTripTests
{
    private static readonly ServiceProvider Services = new ServiceCollection().AddSerializer().BuildServiceProvider();
    private static readonly Serializer MessageSerializer = Services.GetRequiredService<Serializer>();

    private static readonly SortedDictionary<string, Type> TypesByAlias = new(
        typeof(ITopicGrain).Assembly.GetTypes()
            .Where(t => t.IsDefined(typeof(GenerateSerializerAttribute), inherit: false) && !t.IsAbstract && !t.IsGenericTypeDefinition)
            .Where(t => !t.Name.EndsWith("Surrogate", StringComparison.Ordinal))
            .Append(typeof(TopicPartition))
            .ToDictionary(t => t.GetCustomAttribute<AliasAttribute>()?.Alias ?? t.FullName!),
        StringComparer.Ordinal);

    private static readonly (string Alias, string Bytes)[] GoldenLines = ReadGolden();

    public static TheoryData<string> Aliases => [.. TypesByAlias.Keys];

    public static IEnumerable<object[]> Golden => GoldenLines.Select(line => new object[] { line.Alias, line.Bytes });

    [Theory, MemberData(nameof(Aliases))]
    public void A_message_round_trips(string alias)
    {
        object value = Samples.Make(TypesByAlias[alias]);
        JsonNode expected = Describe(value);
        Assert.Equal(expected.ToJsonString(), Describe(MessageSerializer.Deserialize<object>(Serialize(value))).ToJsonString());
        Assert.Equal(expected.ToJsonString(), Describe(Services.GetRequiredService<DeepCopier>().Copy(value)).ToJsonString());
    }

    [Theory, MemberData(nameof(Aliases))]
    public void A_message_keeps_its_bytes(string alias)
    {
        string[] lines = [.. GoldenLines.Where(line => line.Alias == alias).Select(line => line.Bytes)];
        Assert.True(lines.Length > 0, $"messages.golden has no line for {alias}; see {nameof(MessageRoundTripTests)}.");
        Assert.Equal(lines[^1], Convert.ToHexString(Serialize(Samples.Make(TypesByAlias[alias]))));
    }

    [Theory, MemberData(nameof(Golden))]
    public void Bytes_of_this_and_older_versions_are_read(string alias, string bytes)
    {
        Assert.True(TypesByAlias.TryGetValue(alias, out Type? type), $"{alias} is no type any more; delete its lines of messages.golden.");
        JsonNode read = Describe(MessageSerializer.Deserialize<object>(Convert.FromHexString(bytes)));
        if (typeof(Exception).IsAssignableFrom(type))
            read.AsObject().Remove("Message"); // Of an older version, in its words.

        Assert.True(
            IsSameOrUnset(read, Describe(Samples.Make(type))), $"{alias} is read as {read.ToJsonString()}, which is not what was written.");
    }

    /// <summary>With its type, as in an answer: the alias is part of the bytes.</summary>
    private static byte[] Serialize(object value) => MessageSerializer.SerializeToArray<object>(value);

    /// <summary>Members that a newer version added are missing in older bytes, and have their defaults.</summary>
    private static bool IsSameOrUnset(JsonNode? read, JsonNode? written) => (read, written) switch
    {
        (null, _) => true,
        (JsonObject a, JsonObject b) => b.All(member => IsSameOrUnset(a[member.Key], member.Value)),
        (JsonArray a, JsonArray b) => a.Count == 0 || (a.Count == b.Count && a.Zip(b).All(pair => IsSameOrUnset(pair.First, pair.Second))),
        _ => JsonNode.DeepEquals(read, written) || read.ToJsonString() is "0" or "-1" or "false" or "\"\""
            or "\"00000000-0000-0000-0000-000000000000\"",
    };

    private static JsonNode Describe(object? value)
    {
        if (value is not Exception exception)
            return JsonSerializer.SerializeToNode(value)!;

        const BindingFlags Own = BindingFlags.Instance | BindingFlags.Public | BindingFlags.DeclaredOnly;
        return new JsonObject(exception.GetType().GetProperties(Own)
            .Select(member => KeyValuePair.Create(member.Name, JsonSerializer.SerializeToNode(member.GetValue(exception))))
            .Append(KeyValuePair.Create("Type", (JsonNode?)exception.GetType().FullName))
            .Append(KeyValuePair.Create("Message", (JsonNode?)exception.Message)));
    }

    private static (string Alias, string Bytes)[] ReadGolden()
    {
        string file = GoldenFile();
        List<(string Alias, string Bytes)> lines =
            [.. File.ReadLines(file).Select(line => line.Split(' ')).Select(parts => (parts[0], parts[1]))];
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") is not null)
        {
            lines.AddRange(TypesByAlias.Select(type => (type.Key, Convert.ToHexString(Serialize(Samples.Make(type.Value)))))
                .Where(line => lines.LastOrDefault(old => old.Alias == line.Key) != line));
            lines = [.. lines.OrderBy(line => line.Alias, StringComparer.Ordinal)];
            File.WriteAllLines(file, lines.Select(line => $"{line.Alias} {line.Bytes}"));
        }

        return [.. lines];
    }

    private static string GoldenFile([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "messages.golden");
}
