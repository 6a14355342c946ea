using System.Net;
using System.Net.Sockets;

namespace Arus.Standin.Tests.Cluster;

/// <summary>Ports that the system has just found free; all are held until all are found, so that none comes twice.</summary>
internal static class TestPorts
{
    public static int[] Take(int count)
    {
        Socket[] sockets = [.. Enumerable.Range(0, count).Select(_ => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))];
        try
        {
            return [.. sockets.Select(socket =>
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
                return ((IPEndPoint)socket.LocalEndPoint!).Port;
            })];
        }
        finally
        {
            Array.ForEach(sockets, socket => socket.Dispose());
        }
    }
}
