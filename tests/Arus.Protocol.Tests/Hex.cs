namespace Arus.Protocol.Tests;

/// <summary>Bytes written down with blanks between the fields.</summary>
internal static class Hex
{
    public static byte[] Parse(string text) => Convert.FromHexString(text.Replace(" ", "").Replace("\n", "").Replace("\r", ""));

    public static string Format(ReadOnlySpan<byte> bytes) => Convert.ToHexString(bytes).ToLowerInvariant();
}
