using System.Collections.Concurrent;
using System.Globalization;

namespace Arus.Chaos;

/// <summary>What happened when, on the console and in a file. Findings are what must not happen; they fail a run. Thread-safe.</summary>
internal sealed class Journal : IDisposable
{
    private const int MaxRepeats = 5;

    private readonly Lock _lock = new();
    private readonly StreamWriter _file;
    private readonly ConcurrentDictionary<string, int> _findings = new();

    public Journal(string file) => _file = new StreamWriter(file, append: true) { AutoFlush = true };

    /// <summary>Each finding with how often it was made.</summary>
    public IReadOnlyDictionary<string, int> Findings => _findings;

    public void Note(string text) => Write(text, toConsole: true);

    /// <summary>For the file alone.</summary>
    public void Detail(string text) => Write(text, toConsole: false);

    public void Find(string text)
    {
        int times = _findings.AddOrUpdate(text, 1, (_, before) => before + 1);
        Write($"FINDING: {text}", toConsole: times <= MaxRepeats);
    }

    public void Dispose() => _file.Dispose();

    private void Write(string text, bool toConsole)
    {
        string line = $"{DateTime.UtcNow.ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture)} {text}";
        lock (_lock)
        {
            _file.WriteLine(line);
            if (toConsole)
                Console.WriteLine(line);
        }
    }
}
