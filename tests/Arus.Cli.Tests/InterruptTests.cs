using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Arus.Cli.Tests;

/// <summary>The real process and real signals: whether they cancel the command depends on who else in the process catches them.</summary>
public sealed class InterruptTests
{
    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public async Task A_signal_cancels_the_command(string signal)
    {
        if (OperatingSystem.IsWindows())
            return;

        // A silo that takes the connection and says nothing.
        using var silo = new TcpListener(IPAddress.Loopback, 0);
        silo.Start();
        string gateway = $"127.0.0.1:{((IPEndPoint)silo.LocalEndpoint).Port}";
        using Process arus = Start(
            "dotnet", Path.Combine(AppContext.BaseDirectory, "arus.dll"), "topic", "list", "--gateway", gateway, "--connect-timeout",
            "300");
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            using TcpClient connection = await silo.AcceptTcpClientAsync(limit.Token);
            using Process kill = Start("kill", $"-{signal}", $"{arus.Id}");
            await kill.WaitForExitAsync(limit.Token);
            await arus.WaitForExitAsync(limit.Token);

            Assert.Equal(ExitCode.Interrupted, arus.ExitCode);
        }
        finally
        {
            if (!arus.HasExited)
                arus.Kill();
        }
    }

    private static Process Start(string file, params string[] arguments) =>
        Process.Start(new ProcessStartInfo(file, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
}
