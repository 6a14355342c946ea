using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Confluent.Kafka;

namespace Arus.Compat.Tests;

/// <summary>
/// Loads the librdkafka that comes with Confluent.Kafka's package, and no other. The package has several builds for Linux, of which the
/// usual one needs a libsasl2 that Debian 12 does not have; .NET would then silently take a librdkafka of the system.
/// </summary>
internal static class Librdkafka
{
    private static readonly string[] LinuxBuilds = ["librdkafka.so", "centos8-librdkafka.so", "alpine-librdkafka.so"];

    [ModuleInitializer]
    internal static void UseThePackagesOwn()
    {
        if (OperatingSystem.IsLinux())
            NativeLibrary.SetDllImportResolver(typeof(Library).Assembly, Resolve);
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (!name.Contains("rdkafka", StringComparison.Ordinal))
            return 0;

        string architecture = RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
        string directory = Path.Combine(AppContext.BaseDirectory, "runtimes", $"linux-{architecture}", "native");
        foreach (string build in LinuxBuilds)
        {
            if (NativeLibrary.TryLoad(Path.Combine(directory, build), out nint handle))
                return handle;
        }

        throw new DllNotFoundException($"None of {string.Join(", ", LinuxBuilds)} in {directory} loads on this system.");
    }
}
