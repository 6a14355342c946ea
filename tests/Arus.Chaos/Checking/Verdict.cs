namespace Arus.Chaos;

/// <summary>What the checker found. All counts but <see cref="Acknowledged"/> and the two of retries are of what must not happen.</summary>
internal sealed class Verdict
{
    private const int MaxExamples = 40;

    private readonly List<string> _examples = [];

    public long Acknowledged { get; set; }

    /// <summary>Acknowledged records that are not in the log, or not where the acknowledgement said.</summary>
    public long Lost { get; set; }

    /// <summary>Of idempotent producers: records that are in the log more than once.</summary>
    public long Doubled { get; set; }

    /// <summary>Of idempotent producers: records behind a later one of the same producer and partition.</summary>
    public long Reordered { get; set; }

    /// <summary>The same of producers that promise no better.</summary>
    public long DoubledByRetries { get; set; }

    public long ReorderedByRetries { get; set; }

    /// <summary>Records that nobody sent.</summary>
    public long Foreign { get; set; }

    /// <summary>Records that a consumer was given and that are not in the log at that offset.</summary>
    public long Changed { get; set; }

    /// <summary>Records of the log that a group never was given.</summary>
    public long Unread { get; set; }

    /// <summary>Not acknowledged, and in the log: legitimate, since the acknowledgement may be what was lost.</summary>
    public long Unanswered { get; set; }

    /// <summary>The first findings in words.</summary>
    public IReadOnlyList<string> Examples => _examples;

    public bool IsClean => Lost + Doubled + Reordered + Foreign + Changed + Unread == 0;

    public void Example(string text)
    {
        if (_examples.Count < MaxExamples)
            _examples.Add(text);
    }
}
