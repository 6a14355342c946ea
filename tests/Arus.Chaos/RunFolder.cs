namespace Arus.Chaos;

/// <summary>Where a run keeps its logs and data; removed at the end unless something was found in it.</summary>
internal sealed class RunFolder : IDisposable
{
    private readonly bool _isKept;

    public RunFolder(Options options)
    {
        Root = options.Folder ?? Directory.CreateTempSubdirectory("arus-chaos-").FullName;
        Directory.CreateDirectory(Root);
        if (Directory.EnumerateFileSystemEntries(Root).Any())
            throw new ChaosException($"{Root} is not empty: name a new folder with --dir.");

        _isKept = options.IsKept;
        Journal = new Journal(Path.Combine(Root, "events.txt"));
    }

    public string Root { get; }

    public Journal Journal { get; }

    /// <summary>Set once a run is known to have found nothing.</summary>
    public bool IsClean { get; set; }

    /// <summary>Removes what a part of the run left, unless it is to be kept or something was found.</summary>
    public void DeleteData(string directory)
    {
        if (!_isKept && Journal.Findings.Count == 0)
            Directory.Delete(directory, recursive: true);
    }

    public void Dispose()
    {
        Journal.Dispose();
        if (IsClean && !_isKept)
            Directory.Delete(Root, recursive: true);
        else
            Console.WriteLine($"logs: {Root}");
    }
}
