using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;

namespace Arus.Cli;

/// <summary>Where a command reads and writes: results go to standard output; progress, warnings and errors to standard error.</summary>
internal sealed class Terminal(Stream input, Stream output, TextWriter error, bool interactive) : IDisposable
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        Converters = { new JsonStringEnumConverter() },
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Large enough that a million small records do not become a million system calls.</summary>
    private const int OutputBufferBytes = 64 * 1024;

    private readonly StreamWriter _text =
        new(output, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), OutputBufferBytes, leaveOpen: true);

    public Stream Input { get; } = input;

    /// <summary>For bytes that are nobody's text; <see cref="FlushAsync"/> comes between the two.</summary>
    public Stream Output { get; } = output;

    public TextWriter Error { get; } = error;

    /// <summary>Whether somebody watches standard error, so that a live display makes sense.</summary>
    public bool Interactive { get; } = interactive;

    public static Terminal Standard() =>
        new(Console.OpenStandardInput(), Console.OpenStandardOutput(), Console.Error, !Console.IsErrorRedirected);

    public void WriteLine(string line) => _text.WriteLine(line);

    /// <summary>One JSON document on one line.</summary>
    public void WriteJson(object value) => _text.WriteLine(JsonSerializer.Serialize(value, Json));

    /// <summary>The lines of a table, without borders so that scripts can cut it; an empty cell has a dash.</summary>
    public static IEnumerable<string> Table(string[] headings, IEnumerable<object?[]> rows)
    {
        string[][] lines = [headings, .. rows.Select(row => row.Select(cell => FormattableString.Invariant($"{cell ?? "-"}")).ToArray())];
        int[] widths = [.. headings.Select((_, column) => lines.Max(line => line[column].Length))];
        return lines.Select(line => string.Join("  ", line.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
    }

    /// <summary>A console on standard error for live displays.</summary>
    public IAnsiConsole Display() => AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Error) });

    public Task FlushAsync() => _text.FlushAsync();

    public void Dispose() => _text.Dispose();
}
