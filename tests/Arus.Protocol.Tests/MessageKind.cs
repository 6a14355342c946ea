using System.Buffers;
using System.Reflection;

namespace Arus.Protocol.Tests;

/// <summary>A generated message class, for tests over every message and every version of it.</summary>
internal sealed class MessageKind
{
    private readonly Reader _read;

    private MessageKind(Type type)
    {
        Type = type;
        _read = type.GetMethod("Read", BindingFlags.Static | BindingFlags.Public)!.CreateDelegate<Reader>();
        object? Static(string property) => type.GetProperty(property, BindingFlags.Static | BindingFlags.Public)?.GetValue(null);
        var api = Static("Descriptor") as ApiDescriptor;
        int min = api?.MinVersion ?? (short)Static("MinVersion")!, max = api?.MaxVersion ?? (short)Static("MaxVersion")!;
        Versions = [.. Enumerable.Range(min, max - min + 1).Select(version => (short)version)];
    }

    private delegate IMessage Reader(ref WireReader reader, short version);

    public static IReadOnlyList<MessageKind> All { get; } =
    [
        .. typeof(IMessage).Assembly.GetTypes().Where(type => type.IsClass && type.IsAssignableTo(typeof(IMessage)))
            .OrderBy(type => type.Name, StringComparer.Ordinal).Select(type => new MessageKind(type)),
    ];

    public Type Type { get; }

    public string Name => Type.Name;

    public IReadOnlyList<short> Versions { get; }

    public static TheoryData<string> Names() => new(All.Select(kind => kind.Name));

    public static MessageKind Of(string name) => All.Single(kind => kind.Name == name);

    /// <summary>A message whose every property has a value of its own.</summary>
    public IMessage Fill(int seed, int maxBytes = 300) => (IMessage)new MessageFiller(seed, maxBytes).Fill(Type);

    public IMessage Empty() => (IMessage)Activator.CreateInstance(Type)!;

    public IMessage Read(ReadOnlyMemory<byte> body, short version, out int remaining)
    {
        var reader = new WireReader(body);
        IMessage message = _read(ref reader, version);
        remaining = reader.Remaining;
        return message;
    }

    public static byte[] Write(IMessage message, short version)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new WireWriter(output);
        message.Write(ref writer, version);
        writer.Flush();
        return output.WrittenSpan.ToArray();
    }
}
