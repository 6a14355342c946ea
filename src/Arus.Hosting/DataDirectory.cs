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

    private string? _clusterId = clusterId;

    public string FullPath { get; } = fullPath;

    /// <summary>Holds a directory for each partition.</summary>
    public string Topics => TopicsOf(FullPath);

    public static string TopicsOf(string path) => Path.Combine(path, "topics");

    /// <summary>Where the cluster's metadata lies unless it is configured to lie elsewhere.</summary>
    public static string MetadataOf(string path) => Path.Combine(path, "metadata");

    /// <summary>Creates the directory if there is none, locks it, and checks that it belongs to this broker.</summary>
    /// <exception cref="StartRefusedException">It cannot be used; the message says why.</exception>
    public static DataDirectory Open(string path, int brokerId)
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

    /// <summary>Records the cluster's id at the first start, and compares it at every later one.</summary>
    /// <exception cref="StartRefusedException">The records belong to another cluster.</exception>
    public void CheckCluster(string clusterId)
    {
        if (_clusterId is null)
        {
            _clusterId = clusterId;
            WriteIdentity();
        }
        else if (_clusterId != clusterId)
        {
            throw new StartRefusedException(
                $"{BrokerConfigs.LogDir}={FullPath} belongs to cluster {_clusterId}, but this is cluster {clusterId}: " +
                $"{BrokerConfigs.MetadataDir} or {BrokerConfigs.OrleansPrimaryEndpoint} names another cluster's.");
        }
    }

    public void Dispose() => lockFile.Dispose();

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

    private void WriteIdentity()
    {
        string cluster = _clusterId is null ? "" : $"{ClusterIdKey}={_clusterId}\n";
        string text = string.Create(CultureInfo.InvariantCulture, $"version=1\n{BrokerIdKey}={brokerId}\n{cluster}");
        PhysicalFileSystem.Instance.ReplaceFile(Path.Combine(FullPath, IdentityFile), Encoding.UTF8.GetBytes(text), durable: true);
    }
}

/// <summary>The broker cannot start as it is configured; the message says why and what to do.</summary>
public sealed class StartRefusedException(string message, Exception? inner = null) : Exception(message, inner);
