using System.Globalization;

namespace Arus.Benchmarks;

/// <summary>The processes of a PostgreSQL server, by /proc: its first one and all that it has started.</summary>
internal sealed class DatabaseProcesses(int anyBackend)
{
    private const double TicksPerSecond = 100;

    private readonly int _first = (int)Fields(anyBackend)[Parent];

    // Of /proc/PID/stat, counted from what follows the name of the program.
    private const int Parent = 1;
    private const int UserTicks = 11;
    private const int SystemTicks = 12;
    private const int EndedUserTicks = 13;
    private const int EndedSystemTicks = 14;

    /// <summary>Seconds of the processor that the server has used in all.</summary>
    public double ProcessorSeconds()
    {
        long[] first = Fields(_first);
        long ticks = first[UserTicks] + first[SystemTicks] + first[EndedUserTicks] + first[EndedSystemTicks];
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), CultureInfo.InvariantCulture, out int process)
                && Fields(process) is { Length: > EndedSystemTicks } fields && fields[Parent] == _first)
            {
                ticks += fields[UserTicks] + fields[SystemTicks];
            }
        }

        return ticks / TicksPerSecond;
    }

    /// <summary>Empty when the process has ended.</summary>
    private static long[] Fields(int process)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{process}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return [0, .. fields.Take(EndedSystemTicks + 1).Skip(1).Select(field => long.Parse(field, CultureInfo.InvariantCulture))];
        }
        catch (IOException)
        {
            return [];
        }
    }
}
