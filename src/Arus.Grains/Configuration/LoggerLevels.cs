using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace Arus.Grains;

/// <summary>
/// The least severe messages that the logging categories of this process let through: Kafka's resource BROKER_LOGGER. Levels change at
/// once, and last until the process ends. Thread-safe.
/// </summary>
/// <remarks>
/// As a provider it learns the names of the categories; what it sets are filter rules of Microsoft.Extensions.Logging, behind those of the
/// host, for all providers. A rule for a category counts for those below it that have none of their own.
/// </remarks>
internal sealed class LoggerLevels
    : ILoggerProvider, IPostConfigureOptions<LoggerFilterOptions>, IOptionsChangeTokenSource<LoggerFilterOptions>
{
    /// <summary>The level of every category without one of its own.</summary>
    public const string Root = "root";

    /// <summary>Kafka's names, which are those of log4j.</summary>
    private static readonly Dictionary<string, LogLevel> Levels = new()
    {
        ["TRACE"] = LogLevel.Trace, ["DEBUG"] = LogLevel.Debug, ["INFO"] = LogLevel.Information, ["WARN"] = LogLevel.Warning,
        ["ERROR"] = LogLevel.Error, ["FATAL"] = LogLevel.Critical,
    };

    private readonly ConcurrentDictionary<string, bool> _categories = new();
    private readonly ConcurrentDictionary<string, LogLevel> _set = new();
    private volatile CancellationTokenSource _change = new();
    private volatile LoggerFilterOptions _options = new();

    string? IOptionsChangeTokenSource<LoggerFilterOptions>.Name => Options.DefaultName;

    /// <summary>The categories by name, and the root, with their levels.</summary>
    public IEnumerable<(string Name, string Level)> All => _categories.Keys.Concat(_set.Keys).Append(Root).Distinct()
        .Order(StringComparer.Ordinal).Select(name => (name, Format(LevelOf(name))));

    /// <summary>Applies the changes, all or none.</summary>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.InvalidConfig"/> where there is no such category or level, <see cref="ErrorCode.InvalidRequest"/> where the
    /// operation is not for levels.
    /// </exception>
    public void Alter(IReadOnlyList<ConfigChange> changes, bool validateOnly)
    {
        ConfigChanges.CheckKeys(changes);
        foreach (ConfigChange change in changes)
        {
            if (change.Operation is not (ConfigOperation.Set or ConfigOperation.Delete))
                throw new ArusException(ErrorCode.InvalidRequest, $"{change.Key} has a level, which can be set and deleted only.");

            if (!Exists(change.Key))
                throw ConfigChanges.Invalid($"There is no logger {change.Key}; {Root} stands for those without a level of their own.");

            if (change is { Key: Root, Operation: ConfigOperation.Delete })
                throw new ArusException(ErrorCode.InvalidRequest, $"The level of {Root} cannot be deleted; set another.");

            if (change.Operation == ConfigOperation.Set && !Levels.ContainsKey(change.Value!))
                throw ConfigChanges.Invalid($"{change.Key}={change.Value}: allowed: {string.Join(", ", Levels.Keys)}");
        }

        if (validateOnly)
            return;

        foreach (ConfigChange change in changes)
        {
            if (change.Operation == ConfigOperation.Set)
                _set[change.Key] = Levels[change.Value!];
            else
                _set.TryRemove(change.Key, out _);
        }

        Interlocked.Exchange(ref _change, new CancellationTokenSource()).Cancel();
    }

    ILogger ILoggerProvider.CreateLogger(string categoryName)
    {
        _categories.TryAdd(categoryName, true);
        return NullLogger.Instance;
    }

    void IDisposable.Dispose()
    {
    }

    void IPostConfigureOptions<LoggerFilterOptions>.PostConfigure(string? name, LoggerFilterOptions options)
    {
        foreach ((string category, LogLevel level) in _set)
            options.Rules.Add(new LoggerFilterRule(null, category == Root ? null : category, level, null));

        _options = options;
    }

    IChangeToken IOptionsChangeTokenSource<LoggerFilterOptions>.GetChangeToken() => new CancellationChangeToken(_change.Token);

    /// <summary>A category, or the beginning of one up to a dot.</summary>
    private bool Exists(string name) => name == Root || _categories.Keys.Any(category => IsBelow(category, name));

    private static bool IsBelow(string category, string name) =>
        category.StartsWith(name, StringComparison.Ordinal) && name.Length > 0
        && (category.Length == name.Length || category[name.Length] == '.');

    private LogLevel LevelOf(string name) => _options.Rules
        .Where(rule => rule.ProviderName is null && (rule.CategoryName is null || IsBelow(name, rule.CategoryName)))
        .OrderBy(rule => rule.CategoryName?.Length ?? 0).LastOrDefault()?.LogLevel ?? _options.MinLevel;

    private static string Format(LogLevel level) => Levels.FirstOrDefault(pair => pair.Value == level).Key ?? "OFF";
}
