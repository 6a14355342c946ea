using System.Reflection;

namespace Arus.Protocol.Tests;

/// <summary>
/// Compares a message with what was read back: each property is as it was, or has its default because the version lacks it.
/// </summary>
internal sealed class PropertyComparison
{
    public HashSet<string> Seen { get; } = [];

    /// <summary>The properties that came through at least once.</summary>
    public HashSet<string> Carried { get; } = [];

    public void Compare(object expected, object actual, string path)
    {
        object fresh = Activator.CreateInstance(expected.GetType())!;
        foreach (PropertyInfo property in expected.GetType().GetProperties().Where(p => p.CanWrite))
        {
            string name = $"{property.DeclaringType!.FullName}.{property.Name}";
            Seen.Add(name);
            object? sent = property.GetValue(expected), received = property.GetValue(actual);
            if (Same(sent, received, $"{path}.{property.Name}"))
            {
                Carried.Add(name);
                continue;
            }

            Assert.True(Same(property.GetValue(fresh), received, path), $"{path}.{property.Name}: sent {sent}, received {received}");
        }
    }

    private bool Same(object? a, object? b, string path)
    {
        if (a is null || b is null)
            return a is null && b is null;

        if (a is Array left && b is Array right)
        {
            return left.Length == right.Length
                && Enumerable.Range(0, left.Length).All(i => Same(left.GetValue(i), right.GetValue(i), $"{path}[{i}]"));
        }

        switch (a)
        {
            case Records records:
                return records.ToMemory().Span.SequenceEqual(((Records)b).ToMemory().Span);
            case ReadOnlyMemory<byte> bytes:
                return bytes.Span.SequenceEqual(((ReadOnlyMemory<byte>)b).Span);
            case not string when a.GetType().Namespace == typeof(IMessage).Namespace:
                Compare(a, b, path);
                return true;
            default:
                return a.Equals(b);
        }
    }
}
