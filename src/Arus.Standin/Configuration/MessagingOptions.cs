using System.Diagnostics;

namespace Orleans.Configuration;

public abstract class MessagingOptions
{
    private TimeSpan _responseTimeout = TimeSpan.FromSeconds(30);

    /// <summary>How long a caller waits for a response. Under a debugger, <see cref="ResponseTimeoutWithDebugger"/> holds instead.</summary>
    public TimeSpan ResponseTimeout
    {
        get => Debugger.IsAttached ? ResponseTimeoutWithDebugger : _responseTimeout;
        set => _responseTimeout = value;
    }

    public TimeSpan ResponseTimeoutWithDebugger { get; set; } = TimeSpan.FromMinutes(30);

    /// <summary>Requests whose caller has given up are not started.</summary>
    public bool DropExpiredMessages { get; set; } = true;

    /// <summary>Bytes of a message without its header; a larger one is refused by its sender, and ends the connection at its receiver.</summary>
    public int MaxMessageBodySize { get; set; } = 100 * 1024 * 1024;

    /// <summary>Bytes of a message's header.</summary>
    public int MaxMessageHeaderSize { get; set; } = 10 * 1024 * 1024;
}

public class SiloMessagingOptions : MessagingOptions
{
    /// <summary>How often a request may be passed on before it is rejected.</summary>
    public int MaxForwardCount { get; set; } = 2;

    /// <summary>Requests that may wait for one activation; 0 for no limit.</summary>
    public int MaxEnqueuedRequestsHardLimit { get; set; }

    /// <summary>How long silos wait for one another.</summary>
    public TimeSpan SystemResponseTimeout { get; set; } = TimeSpan.FromSeconds(30);
}

public class ClientMessagingOptions : MessagingOptions;

public class StaticGatewayListProviderOptions
{
    /// <summary>As <c>gwy.tcp://127.0.0.1:30000/0</c>.</summary>
    public List<Uri> Gateways { get; set; } = [];
}
