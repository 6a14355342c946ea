using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>The first frame of who opened a connection.</summary>
/// <param name="ClusterId">Both ends must name the same.</param>
/// <param name="Silo">The silo that connects; null for a client.</param>
/// <param name="ClientId">The client that connects; null for a silo.</param>
/// <param name="Expected">The silo that is meant; null for whichever is there.</param>
internal sealed record HelloMessage(string ClusterId, SiloAddress? Silo, string? ClientId, SiloAddress? Expected)
{
    public void Write(WireWriter writer)
    {
        writer.WriteInt32(unchecked((int)Frame.Magic));
        writer.WriteByte(Frame.Version);
        writer.WriteString(ClusterId);
        writer.WriteString(Silo?.ToParsableString());
        writer.WriteString(ClientId);
        writer.WriteString(Expected?.ToParsableString());
    }

    public static HelloMessage Read(WireReader reader)
    {
        if (unchecked((uint)reader.ReadInt32()) != Frame.Magic)
        {
            throw new InvalidDataException("What connected does not speak this protocol.");
        }

        byte version = reader.ReadByte();
        return version == Frame.Version
            ? new HelloMessage(
                reader.ReadString() ?? "", ReadSilo(reader), reader.ReadString(), ReadSilo(reader))
            : throw new InvalidDataException($"What connected speaks version {version} of the protocol; this is version {Frame.Version}.");
    }

    public static SiloAddress? ReadSilo(WireReader reader) => reader.ReadString() is { } text ? SiloAddress.FromParsableString(text) : null;
}

/// <summary>The answer to it.</summary>
/// <param name="Refusal">Why not; null for a welcome.</param>
/// <param name="Silo">The silo that was reached.</param>
/// <param name="Classes">For clients: the grain classes of the cluster.</param>
internal sealed record WelcomeMessage(string? Refusal, bool WrongCluster, SiloAddress Silo, GrainClassEntry[] Classes)
{
    public void Write(WireWriter writer)
    {
        writer.WriteString(Refusal);
        writer.WriteBool(WrongCluster);
        writer.WriteString(Silo.ToParsableString());
        writer.WriteVarUInt32((uint)Classes.Length);
        foreach (GrainClassEntry entry in Classes)
        {
            writer.WriteString(entry.GrainType);
            writer.WriteString(entry.ClassName);
            writer.WriteVarUInt32((uint)entry.Interfaces.Length);
            foreach (string name in entry.Interfaces)
            {
                writer.WriteString(name);
            }
        }
    }

    public static WelcomeMessage Read(WireReader reader)
    {
        string? refusal = reader.ReadString();
        bool wrongCluster = reader.ReadBool();
        SiloAddress silo = HelloMessage.ReadSilo(reader) ?? throw new InvalidDataException("The answer names no silo.");
        var classes = new GrainClassEntry[reader.ReadCount(3)];
        for (int index = 0; index < classes.Length; index++)
        {
            string type = reader.ReadString() ?? "";
            string name = reader.ReadString() ?? "";
            string[] interfaces = new string[reader.ReadCount(1)];
            for (int one = 0; one < interfaces.Length; one++)
            {
                interfaces[one] = reader.ReadString() ?? "";
            }

            classes[index] = new GrainClassEntry(type, name, interfaces);
        }

        return new WelcomeMessage(refusal, wrongCluster, silo, classes);
    }

    /// <summary>Opens a connection and introduces this end.</summary>
    /// <exception cref="Messaging.ConnectionFailedException">Nobody answers there.</exception>
    /// <exception cref="OrleansConfigurationException">The other end belongs to another cluster.</exception>
    public static async Task<(Connection Connection, WelcomeMessage Welcome)> ConnectAsync(
        System.Net.IPEndPoint endpoint, HelloMessage hello, IFrameHandler handler, int maxFrame, TimeSpan limit)
    {
        var socket = new System.Net.Sockets.Socket(endpoint.AddressFamily, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
        using var timeout = new CancellationTokenSource(limit);
        try
        {
            await socket.ConnectAsync(endpoint, timeout.Token);
            var connection = new Connection(socket, handler, maxFrame);
            var greeting = new TaskCompletionSource<WelcomeMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
            connection.Greeting = greeting;
            connection.Start();
            connection.Send(Frame.Hello, hello, static (writer, message) => message.Write(writer));
            WelcomeMessage welcome = await greeting.Task.WaitAsync(timeout.Token);
            if (welcome.Refusal is null)
            {
                return (connection, welcome);
            }

            connection.Close(new Messaging.ConnectionFailedException(welcome.Refusal));
            throw welcome.WrongCluster
                ? new OrleansConfigurationException(welcome.Refusal)
                : new Messaging.ConnectionFailedException($"{endpoint} refused the connection: {welcome.Refusal}");
        }
        catch (Exception exception) when (exception is System.Net.Sockets.SocketException or IOException or OperationCanceledException or InvalidDataException or ObjectDisposedException)
        {
            socket.Dispose();
            throw new Messaging.ConnectionFailedException(
                $"Could not connect to {endpoint}: {(exception is OperationCanceledException ? $"no answer within {limit}" : exception.Message)}", exception);
        }
    }
}
