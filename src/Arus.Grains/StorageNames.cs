namespace Arus.Grains;

/// <summary>Names of grain storage providers.</summary>
public static class StorageNames
{
    /// <summary>Where the cluster's metadata is kept: topics, groups, leader epochs, producer ids.</summary>
    public const string Metadata = "arus";
}
