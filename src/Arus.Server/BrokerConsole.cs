using System.Diagnostics;
using System.Globalization;
using Arus.Grains;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Arus.Server;

/// <summary>
/// What the server logs to its console: warnings and errors, a line each with time, level, category and event, and then the exception if
/// there is one. A healthy broker logs nothing.
/// </summary>
internal sealed class BrokerConsole() : ConsoleFormatter(FormatterName)
{
    private const string FormatterName = "arus";

    /// <summary>Events that are reported elsewhere, or that no operator needs to act on.</summary>
    private static readonly HashSet<(string Category, int Event)> Suppressed =
    [
        // Orleans advises the server's garbage collector; Arus.Server.csproj says why it is not used.
        ("Orleans.Runtime.Silo", 100405),

        // The silo was declared dead: FatalErrorExit says so, in one line.
        ("Orleans.Runtime.MembershipService.MembershipTableManager", 100627),

        // A start that failed: ServerMain prints the reason, in one line.
        ("Microsoft.Extensions.Hosting.Internal.Host", 11),
    ];

    /// <summary>Several lines for each activation of a grain whose state cannot be read; who called the grain says why, in one.</summary>
    private const string GrainCategory = "Orleans.Grain";

    private static readonly HashSet<int> ActivationFailed = [100450, 100513, 23568684, 850300803];

    private const string WatchdogCategory = "Orleans.Runtime.Watchdog";
    private const int CheckDelayed = 100150;

    private volatile bool _muted;

    /// <summary>
    /// Categories of Arus are logged from <c>arus.console.level</c> on, all others from Warning on: Polly, with which Orleans chooses a
    /// silo, has two lines of information for every activation of a grain.
    /// </summary>
    public static void Add(ILoggingBuilder logging, BrokerConfig config)
    {
        logging.SetMinimumLevel(LogLevel.Warning);
        logging.AddFilter("Arus", Enum.Parse<LogLevel>(config.GetString(BrokerConfigs.ConsoleLevel)!, ignoreCase: true));

        // Orleans writes each failed access to a state with its stack under this name; the callers that fail say why, in one line.
        logging.AddFilter(typeof(FileGrainStorage).FullName, LogLevel.None);
        logging.AddFilter("Orleans.Storage.AdoNetGrainStorage", LogLevel.None);
        logging.AddConsole(options => options.FormatterName = FormatterName);
        logging.AddConsoleFormatter<BrokerConsole, ConsoleFormatterOptions>();
    }

    /// <summary>From now on nothing is written: the process ends for a reason that is reported otherwise.</summary>
    public void Mute() => _muted = true;

    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        if (_muted || Suppressed.Contains((logEntry.Category, logEntry.EventId.Id)) || IsToldByCaller(logEntry) || IsFalseAlarm(logEntry))
            return;

        string level = logEntry.LogLevel switch
        {
            LogLevel.Critical => "crit",
            LogLevel.Error => "fail",
            LogLevel.Warning => "warn",
            LogLevel.Information => "info",
            _ => "dbug",
        };
        string time = DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
        string message = logEntry.Formatter(logEntry.State, logEntry.Exception).ReplaceLineEndings(" ");

        // Of a broken or full disk and of a damaged state the message says all that there is to know.
        bool isDisk = logEntry.Exception is IOException or CorruptGrainStateException;
        string reason = isDisk ? $": {logEntry.Exception!.Message.ReplaceLineEndings(" ")}" : "";
        textWriter.WriteLine($"{time} {level}: {logEntry.Category}[{logEntry.EventId.Id}] {message}{reason}");
        if (!isDisk && logEntry.Exception is { } exception)
            textWriter.WriteLine(exception);
    }

    private static bool IsToldByCaller<TState>(in LogEntry<TState> entry) =>
        entry.Category == GrainCategory && ActivationFailed.Contains(entry.EventId.Id)
        && entry.Exception is { } failure && StorageFailure.Is(failure);

    /// <summary>
    /// At its start Orleans' watchdog compares the time with that of a check that has not taken place, and reports a delay as long as the
    /// machine has been up. A delay within the life of the process is real, and reported.
    /// </summary>
    private static bool IsFalseAlarm<TState>(in LogEntry<TState> entry) =>
        (entry.Category, entry.EventId.Id) is (WatchdogCategory, CheckDelayed)
        && entry.State is IEnumerable<KeyValuePair<string, object?>> values
        && values.Any(value => value.Value is TimeSpan delay
            && delay > DateTime.Now - Process.GetCurrentProcess().StartTime);
}
