using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Arus.Protocol;
using MemberProtocol = Arus.Protocol.JoinGroupRequest.JoinGroupRequestProtocol;

namespace Arus.Coordination.Tests.Groups;

/// <summary>
/// Runs a group by a script. Lines that begin with <c>&gt;</c> are inputs; what the machine does in answer is printed below each. A test
/// compares the whole transcript, so that nothing the machine does goes unseen. Times are milliseconds since the start.
/// </summary>
/// <remarks>
/// <c>join TOKEN [member=ID] [instance=ID] [known] [skip] [client=c] [type=consumer] [session=10000] [rebalance=60000]
/// [protocols=range:t,u/rr:t]</c>,
/// <c>sync TOKEN ID GENERATION [ID=assignment …]</c>, <c>heartbeat ID GENERATION</c>, <c>leave ID …</c>,
/// <c>commit TOKEN ID GENERATION t-0=5 …</c>, where <c>t@2-0=5</c> is of the second topic of that name and <c>t@0-0=5</c> of none,
/// <c>topics [NAME …]</c>, <c>keep NAME TOPIC</c>: the host says that this topic, or none (0), has the name,
/// <c>guard PRODUCER</c>, <c>txn-commit TOKEN PRODUCER,EPOCH,COORDINATOR ID GENERATION t-0=5 …</c>, with <c>!</c> behind the
/// coordinator's epoch under the guard, <c>end TOKEN PRODUCER,EPOCH,COORDINATOR commit|abort [raised]</c>: a pending offset is printed as
/// <c>?5(PRODUCER,EPOCH)</c>, <c>fetch TOKEN [t-0 …]</c>, <c>fetch-stable TOKEN [t-0 …]</c>,
/// <c>delete-offsets TOKEN t-0 …</c>, <c>delete TOKEN</c>, <c>describe</c>, <c>advance MS</c>, <c>restart</c>;
/// <c>hold</c>: writes are from now on taken by <c>write</c> and reported by <c>written</c>. An ID may be ID/INSTANCE; <c>-</c> is none.
/// </remarks>
internal sealed class GroupScript
{
    public const int WaitLimitMs = 4_000;

    /// <summary>Of inputs that are answered at once, so that a script need not name their calls.</summary>
    private const string NoToken = "0";

    private const string OneMember = """
        > join 1
            0 write CompletingRebalance gen=1 c-1[]
            0 1: join c-1 gen=1 range leader=c-1 of c-1
        > sync 2 c-1 1 c-1=all
            0 write Stable gen=1 c-1[all]
            0 2: sync range [all]
        """;

    private readonly GroupOptions _options;
    private readonly StringBuilder _transcript = new();
    private readonly Dictionary<TopicPartition, StoredPartition> _storedOffsets = [];
    private GroupMetadata? _stored;
    private ConsumerGroup _group;
    private GroupRecords? _inFlight;
    private long _deadline;
    private TransactionGuard? _guard;
    private bool _hold;
    private long _now;
    private int _ids;

    private GroupScript(GroupOptions options)
    {
        _options = options;
        _group = Load();
        _deadline = _group.TakeEffects(canWrite: false).Deadline;
    }

    public static void Check(string script, GroupOptions? options = null) =>
        Assert.Equal(script.TrimEnd(), Transcript(script, options).TrimEnd());

    /// <summary>A script for a group in which c-1 is the only member and has all, in generation 1; calls 1 and 2 are used up.</summary>
    public static void CheckWithMember(string script, GroupOptions? options = null) => Check(OneMember + '\n' + script, options);

    public static string Transcript(string script, GroupOptions? options = null)
    {
        var run = new GroupScript(options ?? new GroupOptions(BrokerConfig.Default) { InitialRebalanceDelayMs = 0 });
        foreach (string line in script.Split('\n'))
        {
            if (line.StartsWith('>'))
            {
                run._transcript.Append(line).Append('\n');
                run.Execute(line[1..].Split(' ', StringSplitOptions.RemoveEmptyEntries));
            }
            else if (line.StartsWith('#') || line.Length == 0)
            {
                run._transcript.Append(line).Append('\n');
            }
        }

        return run._transcript.ToString();
    }

    private ConsumerGroup Load() => new(
        _options, () => (++_ids).ToString(CultureInfo.InvariantCulture), WaitLimitMs, _stored, _storedOffsets, _now);

    private void Execute(string[] words)
    {
        switch (words[0])
        {
            case "join":
                Receive(words[1], ParseJoin(words[2..], out Caller caller), caller);
                break;
            case "sync":
                Receive(words[1], ParseSync(words[2..]));
                break;
            case "heartbeat":
                (string id, string? instance) = ParseMember(words[1]);
                Receive(NoToken, new HeartbeatRequest { MemberId = id, GroupInstanceId = instance, GenerationId = Number(words[2]) });
                break;
            case "leave":
                Receive(NoToken, new LeaveGroupRequest { Members = [.. words[1..].Select(ParseLeaver)] });
                break;
            case "commit":
                Receive(words[1], ParseCommit(words[2..]));
                break;
            case "guard":
                _guard = _group.Guard(Number(words[1]));
                break;
            case "txn-commit":
                _group.CommitOffsets(
                    Number(words[1]), ParseCommit(words[3..]), ParseTransaction(words[2]), words[2].EndsWith('!') ? _guard : null, _now);
                break;
            case "end":
                _group.EndTransaction(Number(words[1]), ParseTransaction(words[2]), words[3] == "commit", words[^1] == "raised");
                break;
            case "fetch" or "fetch-stable":
                Receive(words[1], new OffsetFetchRequest
                {
                    Groups = [new() { Topics = words.Length == 2 ? null : ParseFetch(words[2..]) }],
                    RequireStable = words[0] == "fetch-stable",
                });
                break;
            case "delete-offsets":
                Receive(words[1], new OffsetDeleteRequest
                {
                    Topics = [.. ParseFetch(words[2..]).Select(topic => new OffsetDeleteRequest.OffsetDeleteRequestTopic
                    {
                        Name = topic.Name, Partitions = [.. topic.PartitionIndexes.Select(
                            partition => new OffsetDeleteRequest.OffsetDeleteRequestPartition { PartitionIndex = partition })],
                    })],
                });
                break;
            case "delete":
                Receive(words[1], new DeleteGroupsRequest { GroupsNames = ["g"] });
                break;
            case "describe":
                Receive(NoToken, new DescribeGroupsRequest { Groups = ["g"] });
                break;
            case "keep":
                _group.KeepTopic(words[1], IdOf(Number(words[2])));
                break;
            case "topics":
                Print(string.Join(' ', _group.FindCommittedTopics(words.Length > 1 ? words[1..] : null).Select(
                    topic => $"{topic.Name}@{topic.Id.ToByteArray()[0]}")));
                break;
            case "advance":
                AdvanceTo(_now + Number(words[1]));
                break;
            case "restart":
                _group = Load();
                _inFlight = null;
                break;
            case "hold":
                _hold = true;
                break;
            case "write":
                Drain(canWrite: true);
                break;
            case "written":
                CompleteWrite();
                break;
            default:
                throw new FormatException($"The script has the unknown input '{words[0]}'.");
        }

        Drain(canWrite: !_hold);
    }

    private void Receive(string token, IApiMessage request, Caller caller = default) =>
        _group.Receive(Number(token), request, caller, _now);

    private void AdvanceTo(long end)
    {
        while (_deadline <= end)
        {
            _now = Math.Max(_now, _deadline);
            _group.Advance(_now);
            Drain(canWrite: !_hold);
        }

        _now = end;
    }

    private void Drain(bool canWrite)
    {
        Effects<GroupRecords> effects = _group.TakeEffects(canWrite && _inFlight is null);
        _deadline = effects.Deadline;
        foreach ((long token, IApiMessage message) in effects.Replies)
            Print(token == Number(NoToken) ? Show(message) : $"{token}: {Show(message)}");

        if (effects.Records is { } records)
        {
            _inFlight = records;
            string text = records.Clear ? " clear" : "";
            text += records.Metadata is { } metadata ? $" {Show(metadata)}" : "";
            text += string.Concat(records.Offsets.Select(entry =>
                $" {entry.Key}={(entry.Value is { } value ? Show(value) : "none")}"));
            Print($"write{text}");
            if (!_hold)
            {
                CompleteWrite();
                Drain(canWrite: true);
            }
        }
    }

    private void CompleteWrite()
    {
        GroupRecords write = _inFlight ?? throw new FormatException("The script reports a write that was not taken.");
        _inFlight = null;
        if (write.Clear)
        {
            _stored = null;
            _storedOffsets.Clear();
        }

        // What is stored has been through its format.
        _stored = write.Metadata is null
            ? _stored
            : DataMessages.ReadVersioned<GroupMetadata>(DataMessages.WriteVersioned(write.Metadata));
        foreach ((TopicPartition partition, StoredPartition? offset) in write.Offsets)
        {
            if (offset is { } value)
                _storedOffsets[partition] = value;
            else
                _storedOffsets.Remove(partition);
        }

        _group.Written();
    }

    private void Print(string text) => _transcript.Append(CultureInfo.InvariantCulture, $"{_now,5} {text}\n");

    private string Show(IApiMessage message) => message switch
    {
        JoinGroupResponse { ErrorCode: ErrorCode.RequestTimedOut } join => $"join pending {join.MemberId}",
        JoinGroupResponse { ErrorCode: ErrorCode.MemberIdRequired } join => $"join {join.ErrorCode} {join.MemberId}",
        JoinGroupResponse { ErrorCode: not ErrorCode.None } join => $"join {join.ErrorCode}",
        JoinGroupResponse join => $"join {join.MemberId} gen={join.GenerationId} {join.ProtocolName} leader={join.Leader}"
            + (join.SkipAssignment ? " skip" : "")
            + (join.Members.Length > 0 ? $" of {string.Join(',', join.Members.Select(m => m.MemberId))}" : ""),
        SyncGroupResponse { ErrorCode: ErrorCode.RequestTimedOut } => "sync pending",
        SyncGroupResponse { ErrorCode: not ErrorCode.None } sync => $"sync {sync.ErrorCode}",
        SyncGroupResponse sync => $"sync {sync.ProtocolName} [{Encoding.UTF8.GetString(sync.Assignment.Span)}]",
        HeartbeatResponse heartbeat => heartbeat.ErrorCode.ToString(),
        LeaveGroupResponse leave => string.Join(' ', leave.Members.Select(member => member.ErrorCode)),
        OffsetCommitResponse { Topics: [] } => "nothing",
        OffsetCommitResponse commit => string.Join(' ', commit.Topics.SelectMany(topic => topic.Partitions).Select(p => p.ErrorCode)),
        OffsetDeleteResponse { ErrorCode: not ErrorCode.None } delete => delete.ErrorCode.ToString(),
        OffsetDeleteResponse delete => string.Join(' ', delete.Topics.SelectMany(topic => topic.Partitions).Select(p => p.ErrorCode)),
        OffsetFetchResponse { Groups: [{ Topics: [] }] } => "nothing",
        OffsetFetchResponse fetch => string.Join(' ', fetch.Groups[0].Topics.SelectMany(topic => topic.Partitions, (topic, p) =>
            $"{topic.Name}-{p.PartitionIndex}={(p.ErrorCode != ErrorCode.None ? p.ErrorCode.ToString()
                : p.CommittedOffset < 0 ? "none" : Show(p.CommittedOffset, p.Metadata!))}")),
        DescribeGroupsResponse describe => Show(describe.Groups[0]),
        DeleteGroupsResponse delete => delete.Results[0].ErrorCode.ToString(),
        _ => throw new InvalidOperationException(),
    };

    private string Show(DescribeGroupsResponse.DescribedGroup group) =>
        $"{group.GroupState} gen={_group.Generation} '{group.ProtocolType}' '{group.ProtocolData}'"
        + string.Concat(group.Members.Select(member => $" {member.MemberId}[{Encoding.UTF8.GetString(member.MemberAssignment.Span)}]"));

    private static string Show(GroupMetadata group) =>
        $"{(GroupState)group.State} gen={group.Generation}"
        + string.Concat(group.Members.Select(member => $" {member.MemberId}[{Encoding.UTF8.GetString(member.Assignment.Span)}]"));

    private static string Show(StoredPartition stored) =>
        (stored.Committed is { } committed ? Show(committed.Offset, committed.Metadata) : "")
        + string.Concat(stored.Pending.Select(pending =>
            $"?{Show(pending.Offset.Offset, pending.Offset.Metadata)}({pending.ProducerId},{pending.ProducerEpoch})"));

    private static string Show(long offset, string metadata) => metadata.Length == 0 ? $"{offset}" : $"{offset}'{metadata}'";

    private static JoinGroupRequest ParseJoin(string[] words, out Caller caller)
    {
        var join = new JoinGroupRequest
        {
            SessionTimeoutMs = 10_000, RebalanceTimeoutMs = 60_000, ProtocolType = "consumer", Protocols = ParseProtocols("range:t"),
        };
        (string client, short version) = ("c", 0);
        foreach (string word in words)
        {
            string value = word[(word.IndexOf('=') + 1)..];
            switch (word.Split('=')[0])
            {
                case "member":
                    join.MemberId = value;
                    break;
                case "instance":
                    join.GroupInstanceId = value;
                    break;
                case "known":
                    version = Math.Max(version, (short)4);
                    break;
                case "skip":
                    version = 9;
                    break;
                case "client":
                    client = value;
                    break;
                case "type":
                    join.ProtocolType = value;
                    break;
                case "session":
                    join.SessionTimeoutMs = Number(value);
                    break;
                case "rebalance":
                    join.RebalanceTimeoutMs = Number(value);
                    break;
                case "protocols":
                    join.Protocols = ParseProtocols(value);
                    break;
                default:
                    throw new FormatException($"The script has the unknown option '{word}'.");
            }
        }

        caller = new Caller(client, "/host", version);
        return join;
    }

    private static MemberProtocol[] ParseProtocols(string text) =>
        [.. text.Split('/').Select(part => part.Split(':')).Select(
            parts => new MemberProtocol { Name = parts[0], Metadata = Subscription(parts[1].Split(',')) })];

    /// <summary>Kafka's ConsumerProtocolSubscription version 0.</summary>
    public static byte[] Subscription(params string[] topics)
    {
        using var stream = new MemoryStream();
        Span<byte> header = stackalloc byte[6];
        BinaryPrimitives.WriteInt32BigEndian(header[2..], topics.Length);
        stream.Write(header);
        foreach (string topic in topics)
        {
            stream.Write([(byte)(topic.Length >> 8), (byte)topic.Length]);
            stream.Write(Encoding.UTF8.GetBytes(topic));
        }

        stream.Write([0xFF, 0xFF, 0xFF, 0xFF]);
        return stream.ToArray();
    }

    private static SyncGroupRequest ParseSync(string[] words)
    {
        (string id, string? instance) = ParseMember(words[0]);
        return new SyncGroupRequest
        {
            MemberId = id,
            GroupInstanceId = instance,
            GenerationId = Number(words[1]),
            Assignments = [.. words[2..].Select(word => word.Split('=')).Select(parts => new SyncGroupRequest.SyncGroupRequestAssignment
            {
                MemberId = parts[0], Assignment = Encoding.UTF8.GetBytes(parts[1]),
            })],
        };
    }

    private static OffsetCommitRequest ParseCommit(string[] words)
    {
        (string id, string? instance) = ParseMember(words[0]);
        return new OffsetCommitRequest
        {
            MemberId = id,
            GroupInstanceId = instance,
            GenerationIdOrMemberEpoch = Number(words[1]),
            Topics = [.. words[2..].Select(word => (Partition: ParsePartition(word.Split('=')[0]), Value: word.Split('=')[1].Split('\'')))
                .GroupBy(offset => offset.Partition.Topic).Select(topic => new OffsetCommitRequest.OffsetCommitRequestTopic
                {
                    Name = topic.Key.Split('@')[0],
                    TopicId = IdOf(topic.Key.Contains('@') ? Number(topic.Key.Split('@')[1]) : 1),
                    Partitions = [.. topic.Select(offset => new OffsetCommitRequest.OffsetCommitRequestPartition
                    {
                        PartitionIndex = offset.Partition.Partition, CommittedOffset = Number(offset.Value[0]),
                        CommittedMetadata = offset.Value.Length > 1 ? offset.Value[1] : "",
                    })],
                })],
        };
    }

    /// <summary>A producer's id, its epoch, and the coordinator's epoch.</summary>
    private static OffsetTransaction ParseTransaction(string text)
    {
        int[] numbers = [.. text.TrimEnd('!').Split(',').Select(Number)];
        return new OffsetTransaction(numbers[0], (short)numbers[1], numbers[2]);
    }

    private static OffsetFetchRequest.OffsetFetchRequestTopics[] ParseFetch(string[] words) =>
        [.. words.Select(ParsePartition).GroupBy(partition => partition.Topic)
            .Select(topic => new OffsetFetchRequest.OffsetFetchRequestTopics
            {
                Name = topic.Key, PartitionIndexes = [.. topic.Select(partition => partition.Partition)],
            })];

    private static LeaveGroupRequest.MemberIdentity ParseLeaver(string word)
    {
        (string id, string? instance) = ParseMember(word);
        return new() { MemberId = id, GroupInstanceId = instance };
    }

    private static Guid IdOf(int topic) => new(topic, 0, 0, new byte[8]);

    private static (string Id, string? InstanceId) ParseMember(string member)
    {
        string[] parts = member.Split('/');
        return (parts[0] == "-" ? "" : parts[0], parts.Length > 1 ? parts[1] : null);
    }

    private static TopicPartition ParsePartition(string text)
    {
        int dash = text.LastIndexOf('-');
        return new TopicPartition(text[..dash], Number(text[(dash + 1)..]));
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
