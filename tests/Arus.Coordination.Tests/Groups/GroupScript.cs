using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Arus.Coordination.Tests.Groups;

/// <summary>
/// Runs a group by a script. Lines that begin with <c>&gt;</c> are inputs; what the machine does in answer is printed below each. A test
/// compares the whole transcript, so that nothing the machine does goes unseen. Times are milliseconds since the start.
/// </summary>
/// <remarks>
/// <c>join TOKEN [member=ID] [instance=ID] [known] [skip] [client=c] [type=consumer] [session=10000] [rebalance=60000] [protocols=range:t,u/rr:t]</c>,
/// <c>sync TOKEN ID GENERATION [ID=assignment …]</c>, <c>heartbeat ID GENERATION</c>, <c>leave ID …</c>, <c>commit TOKEN ID GENERATION t-0=5 …</c>,
/// <c>fetch TOKEN [t-0 …]</c>, <c>delete-offsets TOKEN t-0 …</c>, <c>delete TOKEN</c>, <c>describe</c>, <c>advance MS</c>, <c>restart</c>;
/// <c>hold</c>: writes are from now on taken by <c>write</c> and reported by <c>written</c>. An ID may be ID/INSTANCE; <c>-</c> is none.
/// </remarks>
internal sealed class GroupScript : IMemberIdSource
{
    public const int WaitLimitMs = 4_000;

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
    private readonly Dictionary<TopicPartition, StoredOffset> _storedOffsets = [];
    private GroupSnapshot? _stored;
    private ConsumerGroup _group;
    private GroupWrite? _inFlight;
    private bool _hold;
    private long _now;
    private int _ids;

    private GroupScript(GroupOptions options)
    {
        _options = options;
        _group = Load();
    }

    public static void Check(string script, GroupOptions? options = null) =>
        Assert.Equal(script.TrimEnd(), Transcript(script, options).TrimEnd());

    /// <summary>A script for a group in which c-1 is the only member and has all, in generation 1; calls 1 and 2 are used up.</summary>
    public static void CheckWithMember(string script, GroupOptions? options = null) => Check(OneMember + '\n' + script, options);

    public static string Transcript(string script, GroupOptions? options = null)
    {
        var run = new GroupScript(options ?? new GroupOptions { InitialRebalanceDelayMs = 0 });
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

    string IMemberIdSource.Next() => (++_ids).ToString(CultureInfo.InvariantCulture);

    private ConsumerGroup Load() => new(_options, this, WaitLimitMs, _stored, _storedOffsets, _now);

    private void Execute(string[] words)
    {
        switch (words[0])
        {
            case "join":
                _group.Join(Number(words[1]), ParseJoin(words[2..]), _now);
                break;
            case "sync":
                _group.Sync(Number(words[1]), ParseSync(words[2..]), _now);
                break;
            case "heartbeat":
                Print(_group.Heartbeat(ParseMember(words[1], words[2]), _now).ToString());
                break;
            case "leave":
                Print(string.Join(' ', _group.Leave([.. words[1..].Select(word => ParseMember(word, "-1"))], _now)));
                break;
            case "commit":
                _group.CommitOffsets(Number(words[1]), ParseMember(words[2], words[3]), -1, [.. words[4..].Select(ParseOffset)], _now);
                break;
            case "fetch":
                _group.FetchOffsets(Number(words[1]), words.Length == 2 ? null : [.. words[2..].Select(ParsePartition)]);
                break;
            case "delete-offsets":
                _group.DeleteOffsets(Number(words[1]), [.. words[2..].Select(ParsePartition)]);
                break;
            case "delete":
                _group.Delete(Number(words[1]));
                break;
            case "describe":
                Print(Show(_group.Describe()));
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
                TakeWrite();
                break;
            case "written":
                CompleteWrite();
                break;
            default:
                throw new FormatException($"The script has the unknown input '{words[0]}'.");
        }

        Drain();
    }

    private void AdvanceTo(long end)
    {
        while (_group.NextDeadline <= end)
        {
            _now = Math.Max(_now, _group.NextDeadline);
            _group.Advance(_now);
            Drain();
        }

        _now = end;
    }

    private void Drain()
    {
        PrintAnswers();
        while (!_hold && TakeWrite())
        {
            CompleteWrite();
            PrintAnswers();
        }
    }

    private bool TakeWrite()
    {
        if (_inFlight is not null || !_group.TryTakeWrite(out GroupWrite write))
        {
            return false;
        }

        _inFlight = write;
        string text = write.Clear ? " clear" : "";
        text += write.Metadata is { } metadata ? $" {Show(metadata)}" : "";
        text += string.Concat(write.Offsets.Select(entry => $" {entry.Key}={(entry.Value is { } value ? Show(value) : "none")}"));
        Print($"write{text}");
        return true;
    }

    private void CompleteWrite()
    {
        GroupWrite write = _inFlight ?? throw new FormatException("The script reports a write that was not taken.");
        _inFlight = null;
        if (write.Clear)
        {
            _stored = null;
            _storedOffsets.Clear();
        }

        // What is stored has been through its format.
        _stored = write.Metadata is null ? _stored : GroupStateFormat.DecodeSnapshot(GroupStateFormat.EncodeSnapshot(write.Metadata));
        foreach ((TopicPartition partition, StoredOffset? offset) in write.Offsets)
        {
            if (offset is { } value)
            {
                _storedOffsets[partition] = value;
            }
            else
            {
                _storedOffsets.Remove(partition);
            }
        }

        _group.Written(write.Sequence);
    }

    private void PrintAnswers()
    {
        foreach ((long token, GroupReply reply) in _group.TakeAnswers())
        {
            Print($"{token}: {Show(reply)}");
        }
    }

    private void Print(string text) => _transcript.Append(CultureInfo.InvariantCulture, $"{_now,5} {text}\n");

    private static string Show(GroupReply reply) => reply switch
    {
        JoinReply { Error: not ErrorCode.None } join => $"join {join.Error}{(join.Error == ErrorCode.MemberIdRequired ? $" {join.MemberId}" : "")}",
        JoinReply { Pending: true } join => $"join pending {join.MemberId}",
        JoinReply join => $"join {join.MemberId} gen={join.Generation} {join.ProtocolName} leader={join.LeaderId}"
            + (join.SkipAssignment ? " skip" : "") + (join.Members.Count > 0 ? $" of {string.Join(',', join.Members.Select(m => m.MemberId))}" : ""),
        SyncReply { Error: not ErrorCode.None } sync => $"sync {sync.Error}",
        SyncReply { Pending: true } => "sync pending",
        SyncReply sync => $"sync {sync.ProtocolName} [{Encoding.UTF8.GetString(sync.Assignment.Span)}]",
        ErrorReply error => error.Error.ToString(),
        ErrorsReply errors => string.Join(' ', errors.Errors),
        OffsetsReply offsets => offsets.Offsets.Count == 0 ? "nothing"
            : string.Join(' ', offsets.Offsets.Select(entry => $"{entry.Key}={(entry.Value is { } value ? Show(value) : "none")}")),
        _ => throw new InvalidOperationException(),
    };

    private static string Show(GroupSummary group) =>
        $"{group.State} gen={group.Generation} '{group.ProtocolType}' '{group.ProtocolName}'"
        + string.Concat(group.Members.Select(member => $" {member.MemberId}[{Encoding.UTF8.GetString(member.Assignment.Span)}]"));

    private static string Show(GroupSnapshot group) =>
        $"{group.State} gen={group.Generation}"
        + string.Concat(group.Members.Select(member => $" {member.MemberId}[{Encoding.UTF8.GetString(member.Assignment.Span)}]"));

    private static string Show(StoredOffset offset) => offset.Metadata.Length == 0 ? $"{offset.Offset}" : $"{offset.Offset}'{offset.Metadata}'";

    private static JoinRequest ParseJoin(string[] words)
    {
        var join = new JoinRequest("", null, false, "c", "/host", 10_000, 60_000, "consumer", ParseProtocols("range:t"), false);
        foreach (string word in words)
        {
            string value = word[(word.IndexOf('=') + 1)..];
            join = word.Split('=')[0] switch
            {
                "member" => join with { MemberId = value },
                "instance" => join with { InstanceId = value },
                "known" => join with { RequireKnownMemberId = true },
                "skip" => join with { SupportsSkippingAssignment = true },
                "client" => join with { ClientId = value },
                "type" => join with { ProtocolType = value },
                "session" => join with { SessionTimeoutMs = Number(value) },
                "rebalance" => join with { RebalanceTimeoutMs = Number(value) },
                "protocols" => join with { Protocols = ParseProtocols(value) },
                _ => throw new FormatException($"The script has the unknown option '{word}'."),
            };
        }

        return join;
    }

    private static ProtocolChoice[] ParseProtocols(string text) =>
        [.. text.Split('/').Select(part => part.Split(':')).Select(parts => new ProtocolChoice(parts[0], Subscription(parts[1].Split(','))))];

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

    private static SyncRequest ParseSync(string[] words)
    {
        KeyValuePair<string, ReadOnlyMemory<byte>>[] assignments =
            [.. words[2..].Select(word => word.Split('=')).Select(parts => new KeyValuePair<string, ReadOnlyMemory<byte>>(parts[0], Encoding.UTF8.GetBytes(parts[1])))];
        return new SyncRequest(ParseMember(words[0], words[1]), null, null, assignments);
    }

    private static MemberRef ParseMember(string member, string generation)
    {
        string[] parts = member.Split('/');
        return new MemberRef(parts[0] == "-" ? "" : parts[0], parts.Length > 1 ? parts[1] : null, Number(generation));
    }

    private static OffsetToCommit ParseOffset(string text)
    {
        string[] parts = text.Split('=');
        string[] value = parts[1].Split('\'');
        return new OffsetToCommit(ParsePartition(parts[0]), Number(value[0]), -1, value.Length > 1 ? value[1] : "");
    }

    private static TopicPartition ParsePartition(string text)
    {
        int dash = text.LastIndexOf('-');
        return new TopicPartition(text[..dash], Number(text[(dash + 1)..]));
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
