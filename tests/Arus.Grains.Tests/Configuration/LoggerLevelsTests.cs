using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Arus.Grains.Tests;

public sealed class LoggerLevelsTests : IDisposable
{
    private readonly ServiceProvider _services;
    private readonly LoggerLevels _levels = new();

    public LoggerLevelsTests()
    {
        var services = new ServiceCollection();
        services.AddLogging(logging => logging
            .AddFakeLogging().SetMinimumLevel(LogLevel.Warning).AddFilter("Arus", LogLevel.Information).AddProvider(_levels));
        services.AddSingleton<IPostConfigureOptions<LoggerFilterOptions>>(_levels);
        services.AddSingleton<IOptionsChangeTokenSource<LoggerFilterOptions>>(_levels);
        _services = services.BuildServiceProvider();
    }

    public void Dispose() => _services.Dispose();

    [Fact]
    public void A_level_counts_at_once_for_the_category_and_those_below_it()
    {
        ILogger log = Create("Arus.Storage.Log");
        ILogger other = Create("Orleans.Runtime");
        Assert.Equal([("Arus.Storage.Log", "INFO"), ("Orleans.Runtime", "WARN"), ("root", "WARN")], _levels.All);

        Alter(Set("Arus.Storage", "DEBUG"), Set("root", "ERROR"));
        Assert.True(log.IsEnabled(LogLevel.Debug));
        Assert.False(log.IsEnabled(LogLevel.Trace));
        Assert.False(other.IsEnabled(LogLevel.Warning));
        Assert.Equal(
            [("Arus.Storage", "DEBUG"), ("Arus.Storage.Log", "DEBUG"), ("Orleans.Runtime", "ERROR"), ("root", "ERROR")], _levels.All);

        Alter(new ConfigChange("Arus.Storage", ConfigOperation.Delete, null));
        Assert.False(log.IsEnabled(LogLevel.Debug));
        Assert.True(log.IsEnabled(LogLevel.Information));
    }

    [Theory]
    [InlineData("Arus.Sto", ConfigOperation.Set, "INFO", ErrorCode.InvalidConfig)]
    [InlineData("Arus.Storage", ConfigOperation.Set, "info", ErrorCode.InvalidConfig)]
    [InlineData("Arus.Storage", ConfigOperation.Set, null, ErrorCode.InvalidRequest)]
    [InlineData("Arus.Storage", ConfigOperation.Append, "INFO", ErrorCode.InvalidRequest)]
    [InlineData("root", ConfigOperation.Delete, null, ErrorCode.InvalidRequest)]
    [InlineData("", ConfigOperation.Set, "INFO", ErrorCode.InvalidConfig)]
    public void A_wrong_change_is_refused_with_all_others(string name, ConfigOperation operation, string? value, ErrorCode error)
    {
        ILogger log = Create("Arus.Storage.Log");
        Assert.Equal(
            error, Assert.Throws<ArusException>(() => Alter(Set("Arus.Storage.Log", "TRACE"), new(name, operation, value))).Code);
        Assert.False(log.IsEnabled(LogLevel.Trace));
    }

    private ILogger Create(string category) => _services.GetRequiredService<ILoggerFactory>().CreateLogger(category);

    private void Alter(params ConfigChange[] changes) => _levels.Alter(changes, validateOnly: false);

    private static ConfigChange Set(string name, string? level) => new(name, ConfigOperation.Set, level);
}
