using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>Where requests go.</summary>
internal sealed partial class SiloRuntime
{
    public static readonly GrainType SystemTargetType = GrainType.Create("sys.target");

    /// <summary>How often a request may be passed on; more than Orleans allows, since each time costs only microseconds.</summary>
    private const int MaxForwards = 10;
    private static readonly TimeSpan ForwardDelay = TimeSpan.FromMilliseconds(20);

    /// <summary>A request from another silo or from a client, on the read loop of its connection.</summary>
    public void OnRequest(Connection connection, WireReader reader)
    {
        ulong methodId = ReadRequest(reader, connection, out InvocationHeader header);
        try
        {
            bool isLocal = header.Target.Type == SystemTargetType || header.Placed || Catalog.TryGet(header.Target, out _);
            if (isLocal && Interfaces.Find(methodId) is { } method)
            {
                // Clients have no business with the services of silos.
                Deliver(connection.ClientId is not null && header.Target.Type == SystemTargetType
                    ? throw new OrleansMessageRejectionException($"{header.Target} cannot be called by clients.")
                    : method.Read(reader, header));
                return;
            }

            var raw = new RawInvocation(methodId, header, reader.ReadBytes(reader.Remaining).ToArray());
            if (isLocal)
            {
                Deliver(raw.Decode(this));
            }
            else if (connection.ClientId is null && raw.Target.Type != ObserverTable.Type)
            {
                // A silo took this one for the grain's home.
                Reroute(raw);
            }
            else
            {
                Route(raw);
            }
        }
        catch (Exception exception)
        {
            header.Reply.Fail(exception);
        }
    }

    /// <summary>Finds another activation for a request that the one it was given to cannot serve any more.</summary>
    public void Reroute(Invocation invocation)
    {
        if (invocation.Forwards >= Math.Max(MaxForwards, Messaging.MaxForwardCount))
        {
            invocation.Fail(new OrleansMessageRejectionException($"{invocation.Description} was passed on {invocation.Forwards} times and found no activation."));
            return;
        }

        invocation.Forwards++;
        invocation.Placed = false;
        Route(invocation);
    }

    protected override void OnMoved(GrainId grainId) => Directory.Forget(grainId);

    protected override void Dispatch(GrainReference reference, Invocation invocation)
    {
        if (_stopped)
        {
            throw new OrleansMessageRejectionException($"Silo {SiloAddress} has stopped.");
        }

        if (reference.FixedSilo is { } silo)
        {
            DispatchTo(silo, invocation);
            return;
        }

        Activation? activation = reference.LastActivation;
        if (activation is not null || Catalog.TryGet(invocation.Target, out activation))
        {
            invocation.Isolate();
            if (activation.TryReceive(invocation))
            {
                reference.LastActivation = activation;
                return;
            }

            reference.LastActivation = null;
        }
        else if (Directory.TryGetCached(invocation.Target, out SiloAddress? cached) && TrySend(cached, invocation))
        {
            return;
        }
        else
        {
            invocation.Isolate();
            if (Catalog.FindClass(invocation.Target.Type) is { Placement.IsUsingGrainDirectory: false } grainClass)
            {
                Catalog.Receive(grainClass, invocation);
                return;
            }
        }

        Route(invocation);
    }

    private void DispatchTo(SiloAddress silo, Invocation invocation)
    {
        if (silo.Equals(SiloAddress))
        {
            invocation.Isolate();
            Deliver(invocation);
        }
        else if (!TrySend(silo, invocation))
        {
            invocation.Isolate();
            _ = SendAsync(silo, invocation);
        }
    }

    /// <summary>Gives a request to what it is for, here.</summary>
    private void Deliver(Invocation invocation)
    {
        GrainType type = invocation.Target.Type;
        if (type == SystemTargetType)
        {
            object service = _services.GetValueOrDefault(invocation.Target.Key.ToString())
                ?? throw new OrleansMessageRejectionException($"This silo has no {invocation.Target}.");
            ThreadPool.UnsafeQueueUserWorkItem(static pair => _ = pair.invocation.RunAsync(pair.service), (invocation, service), preferLocal: true);
        }
        else if (Catalog.TryGet(invocation.Target, out Activation? activation) && activation.TryReceive(invocation))
        {
            // The usual case.
        }
        else if (Catalog.FindClass(type) is not { } grainClass)
        {
            throw new OrleansMessageRejectionException($"No grain class of this silo has the grain type \"{type}\".");
        }
        else if (!grainClass.Placement.IsUsingGrainDirectory || invocation.Placed)
        {
            Catalog.Receive(grainClass, invocation);
        }
        else
        {
            Route(invocation);
        }
    }

    private void Route(Invocation invocation) => _ = RouteAsync(invocation);

    /// <summary>Finds the silo whose business a request is, and brings it there.</summary>
    private async Task RouteAsync(Invocation invocation)
    {
        try
        {
            GrainType type = invocation.Target.Type;
            if (type == ObserverTable.Type)
            {
                await RouteToObserverAsync(invocation);
                return;
            }

            GrainClass grainClass = Catalog.FindClass(type)
                ?? throw new OrleansMessageRejectionException($"No grain class of this silo has the grain type \"{type}\".");
            if (!grainClass.Placement.IsUsingGrainDirectory)
            {
                Catalog.Receive(grainClass, Readable(invocation));
                return;
            }

            // A cached address that led here is not to be trusted again; and where views of the cluster differ, time settles it.
            SiloAddress? silo = null;
            if (invocation.Forwards > 2)
            {
                await Task.Delay(ForwardDelay * invocation.Forwards);
            }

            if (invocation.Forwards > 0 || !Directory.TryGetCached(invocation.Target, out silo))
            {
                silo = await LookupAsync(invocation.Target);
            }

            if (silo is null)
            {
                silo = await Placement.PlaceAsync(grainClass, invocation);
                invocation.Placed = true;
            }

            if (silo.Equals(SiloAddress))
            {
                Catalog.Receive(grainClass, Readable(invocation));
                return;
            }

            Directory.Remember(invocation.Target, silo);
            await SendAsync(silo, invocation);
        }
        catch (Exception exception)
        {
            invocation.Fail(exception);
        }
    }

    private async Task<SiloAddress?> LookupAsync(GrainId grainId)
    {
        GrainAddress? address = await Directory.LookupAsync(grainId);
        if (address is null || !SiloAddress.Equals(address.SiloAddress)
            || (Catalog.TryGet(grainId, out Activation? activation) && activation.ActivationId == address.ActivationId))
        {
            return address?.SiloAddress;
        }

        // An entry that outlived its activation, as when the directory moved while the activation ended.
        await Directory.UnregisterAsync(address);
        return null;
    }

    private Invocation Readable(Invocation invocation) => invocation is RawInvocation raw ? raw.Decode(this) : invocation;

    private bool TrySend(SiloAddress silo, Invocation invocation)
    {
        if (!Connections.TryGet(silo, out Connection? connection) || !connection.HasRoom)
        {
            return false;
        }

        Send(connection, invocation);
        return true;
    }

    private async Task SendAsync(SiloAddress silo, Invocation invocation)
    {
        try
        {
            Connection connection = await Connections.GetAsync(silo);
            await connection.WaitForRoomAsync();
            Send(connection, invocation);
        }
        catch (Exception exception)
        {
            Directory.Forget(invocation.Target);
            invocation.Fail(exception);
        }
    }

    private void Send(Connection connection, Invocation invocation)
    {
        long callId = 0;
        PendingCall? relayed = null;
        if (invocation.Reply is PendingCall call)
        {
            call.Via = connection;
            callId = call.Id;
        }
        else if (invocation.Reply is RemoteReply caller)
        {
            relayed = new RelayedCall(Calls, caller, invocation.Target, invocation.Method, Math.Max(0, invocation.Deadline - Environment.TickCount64)) { Via = connection };
            Calls.Add(relayed);
            callId = relayed.Id;
        }

        try
        {
            connection.Send(Frame.Request, (this, invocation, callId), static (writer, state) =>
                state.Item1.WriteRequest(writer, state.invocation, state.callId));
        }
        catch
        {
            Directory.Forget(invocation.Target);
            if (relayed is not null)
            {
                Calls.TryRemove(relayed);
            }

            throw;
        }
    }
}
