using System.Globalization;
using System.Text;
using Arus.Storage;

namespace Arus.Hosting;

/// <summary>
/// The directory of one broker (<c>log.dir</c>): locked while the broker runs, and marked with the ids of its broker and cluster, so that
/// no broker ever serves another's records.
/// </summary>
internal sealed class DataDirectory(string fullPath, FileStream lockFile, int brokerId, string? clusterId) : IDisposable
{
    private const string IdentityFile = "meta.properties";
    private const string LockFile = ".lock";
    private const string ClusterIdKey = "cluster.id";
    private const string BrokerIdKey = "broker.id";
    private const string MetadataKey = "metadata";
    private const string InDatabase = "database";
    private const string InFiles = "files";

    /// <summary>It is on its way into a database, and perhaps there already: neither place may be used before that is settled.</summary>
    private const string BeingImported = "importing";

    private string? _clusterId = clusterId;

    public int BrokerId { get; } = brokerId;

    /// <summary>Null before the first start.</summary>
    public string? ClusterId => _clusterId;

    public string FullPath { get; } = fullPath;

    /// <summary>Holds a directory for each partition.</summary>
    public string Topics => TopicsOf(FullPath);

    public static string TopicsOf(string path) => Path.Combine(path, "topics");

    /// <summary>Where the metadata of a broker without a database lies.</summary>
    public static string MetadataOf(string path) => Path.Combine(path, "metadata");

    /// <summary>
    /// Creates the directory if there is none, locks it, and checks that it belongs to this broker, and to one with or without a database
    /// as this one is: records without their metadata would be no topic's.
    /// </summary>
    /// <exception cref="StartRefusedException">It cannot be used; the message says why.</exception>
    public static DataDirectory Open(string path, int brokerId, bool usesDatabase = false)
    {
        string full = Path.GetFullPath(path);
        FileStream? lockFile = null;
        try
        {
            Directory.CreateDirectory(full);
            lockFile = Lock(full);
            Dictionary<string, string> identity = Read(Path.Combine(full, IdentityFile));
            if (identity.TryGetValue(BrokerIdKey, out string? owner) && owner != brokerId.ToString(CultureInfo.InvariantCulture))
            {
                throw new StartRefusedException(
                    $"{BrokerConfigs.LogDir}={full} belongs to broker {owner}, but {BrokerConfigs.BrokerId}={brokerId}: " +
                    $"give this broker its own directory, or start it as broker {owner}.");
            }

            CheckMetadata(full, identity, usesDatabase);
            var directory = new DataDirectory(full, lockFile, brokerId, identity.GetValueOrDefault(ClusterIdKey));
            if (identity.Count == 0)
                directory.WriteIdentity();

            return directory;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or StartRefusedException)
        {
            lockFile?.Dispose();
            throw e as StartRefusedException ?? new StartRefusedException($"{BrokerConfigs.LogDir}={full} cannot be used: {e.Message}", e);
        }
    }

    /// <summary>Locks the directory of a broker without a database, which is to become that of a broker with one.</summary>
    /// <exception cref="StartRefusedException">It is in use, or is none of that kind; the message says why.</exception>
    public static DataDirectory OpenForImport(string path)
    {
        string full = Path.GetFullPath(path);
        string file = Path.Combine(full, IdentityFile);
        if (!File.Exists(file))
            throw new StartRefusedException($"{full} is no directory of a broker: there is no {IdentityFile} in it.");

        FileStream lockFile = Lock(full);
        try
        {
            Dictionary<string, string> identity = Read(file);
            if (!int.TryParse(identity.GetValueOrDefault(BrokerIdKey), NumberStyles.None, CultureInfo.InvariantCulture, out int brokerId)
                || identity.GetValueOrDefault(ClusterIdKey) is not { Length: > 0 } clusterId)
            {
                throw new StartRefusedException($"{full} is of a broker that never ran: there is nothing to import.");
            }

            return identity.GetValueOrDefault(MetadataKey) == InDatabase
                ? throw new StartRefusedException(
                    $"{full} belongs to broker {brokerId} of cluster {clusterId}, which has a database already.")
                : new DataDirectory(full, lockFile, brokerId, clusterId);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or StartRefusedException)
        {
            lockFile.Dispose();
            throw e as StartRefusedException ?? new StartRefusedException($"{full} cannot be used: {e.Message}", e);
        }
    }

    /// <summary>From here on no broker starts with the directory, until <see cref="EndImport"/>.</summary>
    public void BeginImport() => WriteIdentity(BeingImported);

    /// <summary>The metadata is in the database.</summary>
    public void EndImport() => WriteIdentity(InDatabase);

    /// <summary>Records the cluster's id at the first start, and compares it at every later one.</summary>
    /// <param name="usesDatabase">Whether the metadata of the cluster is in a database.</param>
    /// <exception cref="StartRefusedException">The records belong to another cluster.</exception>
    public void CheckCluster(string clusterId, bool usesDatabase = false)
    {
        if (_clusterId is null)
        {
            _clusterId = clusterId;
            WriteIdentity(usesDatabase ? InDatabase : InFiles);
        }
        else if (_clusterId != clusterId)
        {
            throw new StartRefusedException(
                $"{BrokerConfigs.LogDir}={FullPath} belongs to cluster {_clusterId}, but this is cluster {clusterId}: " +
                $"give this broker its own directory, or its cluster's {BrokerConfigs.Database}.");
        }
    }

    public void Dispose() => lockFile.Dispose();

    private static void CheckMetadata(string path, Dictionary<string, string> identity, bool usesDatabase)
    {
        // Before there was a choice, metadata was in files.
        if (!identity.TryGetValue(MetadataKey, out string? place) && identity.ContainsKey(ClusterIdKey))
            place = InFiles;

        if (place == BeingImported)
        {
            throw new StartRefusedException(
                $"{BrokerConfigs.LogDir}={path} is on its way into a database, and that was interrupted: repeat `arus db import {path}`.");
        }

        if (place == InDatabase && !usesDatabase)
        {
            throw new StartRefusedException(
                $"{BrokerConfigs.LogDir}={path} belongs to a broker of cluster {identity.GetValueOrDefault(ClusterIdKey)}, " +
                $"whose metadata is in a database: set {BrokerConfigs.Database} (ARUS_DATABASE), or give this broker its own directory.");
        }

        if (place == InFiles && usesDatabase)
        {
            throw new StartRefusedException(
                $"{BrokerConfigs.LogDir}={path} belongs to a broker without a database, whose topics are in its metadata directory: " +
                $"start it without {BrokerConfigs.Database}, make it the first broker of a cluster (arus db import {path}), " +
                "or give this broker its own directory.");
        }
    }

    private static FileStream Lock(string directory)
    {
        try
        {
            // On Unix this takes an advisory lock, which the system releases when the process ends, however it ends.
            return new FileStream(Path.Combine(directory, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not DirectoryNotFoundException)
        {
            throw new StartRefusedException($"{BrokerConfigs.LogDir}={directory} is in use by another process: {e.Message}", e);
        }
    }

    private static Dictionary<string, string> Read(string file) =>
        !File.Exists(file) ? [] : File.ReadLines(file)
            .Where(line => line.Length > 0 && line[0] != '#' && line.Contains('='))
            .ToDictionary(line => line[..line.IndexOf('=')].Trim(), line => line[(line.IndexOf('=') + 1)..].Trim());

    private void WriteIdentity(string? metadata = null)
    {
        string cluster = _clusterId is null ? "" : $"{ClusterIdKey}={_clusterId}\n";
        string place = metadata is null ? "" : $"{MetadataKey}={metadata}\n";
        string text = string.Create(CultureInfo.InvariantCulture, $"version=1\n{BrokerIdKey}={BrokerId}\n{cluster}{place}");
        PhysicalFileSystem.Instance.ReplaceFile(Path.Combine(FullPath, IdentityFile), Encoding.UTF8.GetBytes(text), durable: true);
    }
}

/// <summary>The broker cannot start as it is configured; the message says why and what to do.</summary>
public sealed class StartRefusedException(string message, Exception? inner = null) : Exception(message, inner);
