namespace Arus.Hosting.Tests;

public sealed class DataDirectoryTests : IDisposable
{
    private readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("arus-data-").FullName, "data");

    [Fact]
    public void Two_brokers_never_share_one()
    {
        using DataDirectory first = DataDirectory.Open(_path, 1);
        StartRefusedException refusal = Assert.Throws<StartRefusedException>(() => DataDirectory.Open(_path, 1));
        Assert.Contains("is in use by another process", refusal.Message);
    }

    [Fact]
    public void It_remembers_its_broker()
    {
        DataDirectory.Open(_path, 1).Dispose();
        Assert.Contains(
            "belongs to broker 1, but broker.id=2", Assert.Throws<StartRefusedException>(() => DataDirectory.Open(_path, 2)).Message);
        DataDirectory.Open(_path, 1).Dispose();
    }

    [Fact]
    public void It_remembers_its_cluster()
    {
        using (DataDirectory first = DataDirectory.Open(_path, 1))
            first.CheckCluster("abc");

        using DataDirectory second = DataDirectory.Open(_path, 1);
        second.CheckCluster("abc");
        Assert.Contains(
            "belongs to cluster abc, but this is cluster xyz",
            Assert.Throws<StartRefusedException>(() => second.CheckCluster("xyz")).Message);
    }

    [Fact]
    public void It_is_of_a_cluster_with_a_database_or_of_a_broker_without()
    {
        using (DataDirectory clustered = DataDirectory.Open(_path, 1, usesDatabase: true))
            clustered.CheckCluster("abc", usesDatabase: true);

        DataDirectory.Open(_path, 1, usesDatabase: true).Dispose();
        string refusal = Assert.Throws<StartRefusedException>(() => DataDirectory.Open(_path, 1)).Message;
        Assert.Contains("belongs to a broker of cluster abc, whose metadata is in a database: set arus.database", refusal);
    }

    [Fact]
    public void Between_the_two_kinds_it_is_of_neither()
    {
        using (DataDirectory own = DataDirectory.Open(_path, 1))
            own.CheckCluster("abc");

        using (DataDirectory import = DataDirectory.OpenForImport(_path))
        {
            Assert.Equal((1, "abc"), (import.BrokerId, import.ClusterId));
            import.BeginImport();
        }

        foreach (bool usesDatabase in new[] { false, true })
        {
            Assert.Contains(
                "repeat `arus db import", Assert.Throws<StartRefusedException>(() => DataDirectory.Open(_path, 1, usesDatabase)).Message);
        }

        using (DataDirectory again = DataDirectory.OpenForImport(_path))
            again.EndImport();

        DataDirectory.Open(_path, 1, usesDatabase: true).Dispose();
        Assert.Contains(
            "has a database already", Assert.Throws<StartRefusedException>(() => DataDirectory.OpenForImport(_path)).Message);
    }

    [Fact]
    public void What_cannot_be_imported_is_refused_by_name()
    {
        Directory.CreateDirectory(_path);
        Assert.Contains("no directory of a broker", Assert.Throws<StartRefusedException>(() => DataDirectory.OpenForImport(_path)).Message);
        using (DataDirectory.Open(_path, 1))
            Assert.Contains("in use", Assert.Throws<StartRefusedException>(() => DataDirectory.OpenForImport(_path)).Message);

        Assert.Contains("never ran", Assert.Throws<StartRefusedException>(() => DataDirectory.OpenForImport(_path)).Message);
    }

    [Theory]
    [InlineData("version=1\nbroker.id=1\ncluster.id=abc\nmetadata=files\n")]
    [InlineData("version=1\nbroker.id=1\ncluster.id=abc\n")]
    public void A_broker_without_a_database_keeps_its_directory_to_itself(string identity)
    {
        Directory.CreateDirectory(_path);
        File.WriteAllText(Path.Combine(_path, "meta.properties"), identity);
        using (DataDirectory own = DataDirectory.Open(_path, 1))
            own.CheckCluster("abc");

        Assert.Contains(
            "belongs to a broker without a database",
            Assert.Throws<StartRefusedException>(() => DataDirectory.Open(_path, 1, usesDatabase: true)).Message);
    }

    [Fact]
    public void A_path_that_is_no_directory_is_refused_by_name()
    {
        File.WriteAllText(_path, "");
        Assert.Contains(
            $"log.dir={_path} cannot be used", Assert.Throws<StartRefusedException>(() => DataDirectory.Open(_path, 1)).Message);
    }

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);
}
