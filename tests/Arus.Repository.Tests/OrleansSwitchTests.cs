using System.Diagnostics;
using System.IO.Compression;

namespace Arus.Repository.Tests;

/// <summary>
/// The Orleans switch (src/Orleans.Detection.targets), on a copy of the repository's build files with two empty projects, against
/// feeds that are folders or that nobody serves.
/// </summary>
public sealed class OrleansSwitchTests : IDisposable
{
    private static readonly string[] _buildFiles =
    [
        "Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props", "Directory.Solution.targets", "global.json",
        "src/Orleans.targets", "src/Orleans.Detection.targets",
    ];

    private readonly string _root = Directory.CreateTempSubdirectory("arus-switch-").FullName;
    private readonly string _feed;

    public OrleansSwitchTests()
    {
        _feed = Path.Combine(_root, "feed");
        Directory.CreateDirectory(_feed);
        foreach (string file in _buildFiles)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(_root, file))!);
            File.Copy(Path.Combine(Repository.Root, file), Path.Combine(_root, file));
        }

        Write("src/Arus.Standin/Arus.Standin.csproj", "<Project Sdk=\"Microsoft.NET.Sdk\" />");
        Write(
            "src/User/User.csproj",
            "<Project Sdk=\"Microsoft.NET.Sdk\"><ItemGroup><OrleansReference Include=\"Microsoft.Orleans.Sdk\" /></ItemGroup></Project>");
        UseFeed(_feed);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task Without_Orleans_in_the_feeds_the_stand_in_is_used()
    {
        (int exit, string output) = await Dotnet("restore src/User");

        Assert.True(exit == 0, output);
        Assert.Contains("Orleans runtime: standin", output);
        Assert.Contains("NU1101", output);
        Assert.Contains("Arus.Standin", await Assets());

        // The second time the answer is remembered.
        (_, output) = await Dotnet("restore src/User");
        Assert.Contains("remembered in artifacts/orleans-runtime.props", output);
        Assert.DoesNotContain("asking the configured feeds", output);
    }

    [Fact]
    public async Task With_Orleans_in_the_feeds_the_packages_are_used_by_the_same_restore()
    {
        string version = await Property("OrleansVersion");
        AddPackage("Microsoft.Orleans.Runtime", version);
        AddPackage("Microsoft.Orleans.Sdk", version);

        (int exit, string output) = await Dotnet("restore src/User");

        Assert.True(exit == 0, output);
        Assert.Contains("Orleans runtime: packages", output);
        string assets = await Assets();
        Assert.Contains($"Microsoft.Orleans.Sdk/{version}", assets);
        Assert.DoesNotContain("Arus.Standin", assets);
        Assert.Equal("packages", await Property("OrleansRuntime"));
    }

    [Fact]
    public async Task A_feed_that_cannot_be_asked_is_no_answer()
    {
        // Port 9 is for discarding; nobody listens there.
        UseFeed("http://127.0.0.1:9/v3/index.json");

        (int exit, string output) = await Dotnet("restore src/User");

        Assert.NotEqual(0, exit);
        Assert.Contains("ARUS002", output);
        Assert.Contains("NU1301", output);
        Assert.Contains("-p:OrleansRuntime=standin", output);
        Assert.False(File.Exists(Path.Combine(_root, "artifacts", "orleans-runtime.props")));
    }

    [Fact]
    public async Task What_the_caller_says_is_not_looked_into()
    {
        UseFeed("http://127.0.0.1:9/v3/index.json");
        Assert.Equal("packages", await Property("OrleansRuntime", "-p:OrleansRuntime=packages"));

        (int exit, string output) = await Dotnet("restore src/User -p:OrleansRuntime=nonsense");
        Assert.NotEqual(0, exit);
        Assert.Contains("it must be 'packages' or 'standin'", output);
    }

    [Theory]
    [InlineData("packages", "Microsoft.Orleans.Server", "Arus.Standin")]
    [InlineData("standin", "Arus.Standin", "Microsoft.Orleans.Server")]
    public async Task The_server_references_one_of_the_two(string runtime, string wanted, string unwanted)
    {
        string server = Path.Combine(Repository.Root, "src", "Arus.Server", "Arus.Server.csproj");
        (int exit, string output) = await Dotnet(
            $"msbuild \"{server}\" -p:OrleansRuntime={runtime} -getItem:PackageReference -getItem:ProjectReference");
        Assert.True(exit == 0, output);
        Assert.Contains(wanted, output);
        Assert.DoesNotContain(unwanted, output);
    }

    private Task<string> Assets() => File.ReadAllTextAsync(Path.Combine(_root, "src", "User", "obj", "project.assets.json"));

    private async Task<string> Property(string name, string arguments = "") =>
        (await Dotnet($"msbuild src/User -getProperty:{name} {arguments}")).Output.Trim();

    private void UseFeed(string source) => Write(
        "NuGet.Config",
        $"<configuration><packageSources><clear /><add key=\"only\" value=\"{source}\" allowInsecureConnections=\"true\" /></packageSources></configuration>");

    private void AddPackage(string id, string version)
    {
        using ZipArchive package = ZipFile.Open(Path.Combine(_feed, $"{id}.{version}.nupkg"), ZipArchiveMode.Create);
        using (var nuspec = new StreamWriter(package.CreateEntry($"{id}.nuspec").Open()))
        {
            nuspec.Write(
                $"<package xmlns=\"http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd\"><metadata><id>{id}</id><version>{version}</version>"
                + "<authors>nobody</authors><description>Empty.</description></metadata></package>");
        }

        package.CreateEntry("lib/net10.0/_._");
    }

    private void Write(string path, string text)
    {
        string full = Path.Combine(_root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }

    private async Task<(int Exit, string Output)> Dotnet(string arguments)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", $"{arguments} -nologo -tl:off")
        {
            WorkingDirectory = _root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string name in start.Environment.Keys.Where(IsOfOuterBuild).ToArray())
        {
            start.Environment.Remove(name);
        }

        start.Environment["RestorePackagesPath"] = Path.Combine(_root, "packages");
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output + await errors);
    }

    private static bool IsOfOuterBuild(string variable) =>
        variable.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)
        || variable is "OrleansRuntime" or "RestoreSources" or "RestoreConfigFile" or "RestoreAdditionalProjectSources";
}
