using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Arus;

/// <summary>A native library that may or may not be on this machine, loaded at first use.</summary>
internal sealed class NativeCodecLibrary
{
    private readonly nint handle;

    public NativeCodecLibrary(string codec, string[] fileNames, string debianPackage, string homebrewPackage, string[] requiredExports)
    {
        foreach (string name in fileNames)
        {
            if (NativeLibrary.TryLoad(name, typeof(NativeCodecLibrary).Assembly, searchPath: null, out handle))
            {
                string? missing = Array.Find(requiredExports, export => !NativeLibrary.TryGetExport(handle, export, out _));
                WhyUnavailable = missing is null
                    ? null
                    : $"{codec} compression is not available: the native library {name} is too old, it lacks {missing}. Install a newer {debianPackage}.";
                return;
            }
        }

        WhyUnavailable = $"{codec} compression is not available: the native library {fileNames[0]} was not found. Install it "
            + $"(Debian, Ubuntu: apt-get install {debianPackage}; macOS: brew install {homebrewPackage}; Windows: put {fileNames[^1]} next to "
            + "the executable or on the PATH) and restart.";
    }

    /// <summary>Null when the library was loaded and has all that is needed.</summary>
    public string? WhyUnavailable { get; }

    public nint Export(string name) => NativeLibrary.GetExport(handle, name);
}

/// <summary>Native contexts kept for reuse; what does not fit is freed by its user.</summary>
internal sealed class NativeContextPool
{
    private readonly ConcurrentBag<nint> free = [];
    private readonly int limit = 2 * Environment.ProcessorCount;
    private int count;

    public bool TryTake(out nint context)
    {
        bool taken = free.TryTake(out context);
        if (taken)
        {
            Interlocked.Decrement(ref count);
        }

        return taken;
    }

    public bool TryGive(nint context)
    {
        if (Interlocked.Increment(ref count) > limit)
        {
            Interlocked.Decrement(ref count);
            return false;
        }

        free.Add(context);
        return true;
    }
}
