namespace Arus.Testing;

/// <summary>Where this machine has PostgreSQL's server, from Debian's package or on the path.</summary>
internal static class PostgresBinaries
{
    private const string DebianFolder = "/usr/lib/postgresql";

    /// <summary>The folder that holds <c>initdb</c> and <c>postgres</c>; null where there is none.</summary>
    public static string? Folder { get; } = Candidates().FirstOrDefault(
        folder => File.Exists(Path.Combine(folder, "initdb")) && File.Exists(Path.Combine(folder, "postgres")));

    /// <summary>
    /// The user that the server runs as, since it refuses root; null for the user of this process.
    /// </summary>
    public static string? User { get; } =
        Environment.IsPrivilegedProcess ? new[] { "postgres", "nobody" }.FirstOrDefault(IsUser) : null;

    /// <summary>Why tests cannot have a server here; null when they can.</summary>
    public static string? Missing { get; } =
        OperatingSystem.IsWindows() ? "a PostgreSQL of the tests' own needs a Unix"
        : Folder is null ? $"PostgreSQL is not installed (apt-get install postgresql): no initdb in {DebianFolder}/*/bin or the path"
        : Environment.IsPrivilegedProcess && User is null ? "PostgreSQL refuses root, and there is neither a user postgres nor nobody"
        : null;

    /// <summary>Debian's folders, the newest version first, then those of the path.</summary>
    private static IEnumerable<string> Candidates()
    {
        IEnumerable<string> debian = Directory.Exists(DebianFolder)
            ? Directory.EnumerateDirectories(DebianFolder)
                .OrderByDescending(folder => int.TryParse(Path.GetFileName(folder), out int version) ? version : 0)
                .Select(folder => Path.Combine(folder, "bin"))
            : [];
        return debian.Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator));
    }

    private static bool IsUser(string name) =>
        File.ReadLines("/etc/passwd").Any(line => line.StartsWith($"{name}:", StringComparison.Ordinal));
}
