using System.Text;

namespace Arus.Protocol.Generator;

/// <summary>Lines of C# with the indentation kept by braces.</summary>
internal sealed class CodeWriter
{
    private readonly StringBuilder _text = new();
    private int _depth;

    public void Line(string text = "") => _text.Append(' ', text.Length == 0 ? 0 : _depth * 4).Append(text).Append('\n');

    public void Open(string head)
    {
        Line(head);
        Line("{");
        _depth++;
    }

    public void Close()
    {
        _depth--;
        Line("}");
    }

    public override string ToString() => _text.ToString();
}
