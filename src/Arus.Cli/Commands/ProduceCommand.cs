using System.Buffers;
using System.CommandLine;
using System.IO.Pipelines;
using System.Text;
using System.Threading.Channels;
using Arus.Client;

namespace Arus.Cli.Commands;

/// <summary><c>arus produce</c>: a line, a record.</summary>
internal static class ProduceCommand
{
    /// <summary>A longer line is a mistake (a binary file, most often), and no broker would take it.</summary>
    private const int MaxLineBytes = 16 * 1024 * 1024;

    /// <summary>How many records may wait for their acknowledgement before reading on waits for them.</summary>
    private const int MaxUnacknowledged = 100_000;

    private static readonly Argument<string> Topic = new("topic") { Description = "the topic's name" };
    private static readonly Option<FileInfo?> File =
        new("--file", "-f") { Description = "read records from this file instead of standard input" };
    private static readonly Option<string?> KeySeparator =
        new("--key-separator", "-K") { Description = "what stands before it in a line is the key" };
    private static readonly Option<string[]> Headers =
        new("--header", "-H") { Description = "a header for every record, name=value; may be repeated", DefaultValueFactory = _ => [] };
    private static readonly Option<int?> Partition = new("--partition") { Description = "put every record into this partition" };
    private static readonly Option<int?> Rate = new("--rate") { Description = "at most so many records a second" };
    private static readonly Option<CompressionType> Codec =
        new("--compression", "-z") { HelpName = "codec", Description = "none, gzip, snappy, lz4 or zstd" };
    private static readonly Option<string> Acks = new("--acks") { Description = "0, 1 or all", DefaultValueFactory = _ => "all" };

    static ProduceCommand() => Acks.AcceptOnlyFromAmong("0", "1", "all");

    public static Command Build(Application application)
    {
        var command = new Command("produce", "Append a record for each line of a file or of standard input.")
        {
            Topic, File, KeySeparator, Headers, Partition, Rate, Codec, Acks,
        };
        return application.Connected(command, async (connection, arguments, cancellationToken) =>
        {
            var counter = new LiveCounter(application.Terminal, TimeProvider.System);
            string? failure = await counter.ShowAsync(
                "acknowledged", () =>
                    RunAsync(connection.Client, arguments, application.Terminal, counter, cancellationToken)).ConfigureAwait(false);
            application.Terminal.Error.WriteLine(counter.Describe("acknowledged"));
            if (failure is not null)
                application.Terminal.Error.WriteLine($"arus: {failure}");

            return failure is null ? ExitCode.Success : ExitCode.Failure;
        });
    }

    private static async Task<string?> RunAsync(
        IArusClient client, ParseResult arguments, Terminal terminal, LiveCounter counter, CancellationToken cancellationToken)
    {
        var options = new ProducerOptions
        {
            Compression = arguments.GetValue(Codec),
            Acks = arguments.GetValue(Acks) switch { "0" => Client.Acks.None, "1" => Client.Acks.Leader, _ => Client.Acks.All },
        };
        FileInfo? file = arguments.GetValue(File);
        Stream input = file is null ? terminal.Input : file.OpenRead();
        IProducer<byte[], byte[]> producer = client.CreateProducer<byte[], byte[]>(options);
        await using (input.ConfigureAwait(false))
        await using (producer.ConfigureAwait(false))
        {
            var waiting = Channel.CreateBounded<(PendingDelivery Delivery, int Bytes)>(
                new BoundedChannelOptions(MaxUnacknowledged) { SingleReader = true, SingleWriter = true });
            Task<string?> acknowledging = AcknowledgeAsync(waiting.Reader, counter);
            try
            {
                await ReadAsync(
                    input, Template(arguments), producer, Pace(arguments), waiting.Writer, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                waiting.Writer.Complete();
            }

            await producer.FlushAsync(cancellationToken).ConfigureAwait(false);
            return await acknowledging.ConfigureAwait(false);
        }
    }

    private static async Task ReadAsync(
        Stream input, LineFormat format, IProducer<byte[], byte[]> producer, Throttle? throttle,
        ChannelWriter<(PendingDelivery, int)> waiting, CancellationToken cancellationToken)
    {
        PipeReader reader = PipeReader.Create(input, new StreamPipeReaderOptions(bufferSize: 256 * 1024, leaveOpen: true));
        long number = 0;
        while (true)
        {
            ReadResult read = await reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = read.Buffer;
            while (TryTakeLine(ref buffer, read.IsCompleted, out ReadOnlySequence<byte> line))
            {
                number++;
                if (throttle is not null)
                    await throttle.WaitAsync(cancellationToken).ConfigureAwait(false);

                ProducerRecord<byte[], byte[]> record = format.Parse(line, number);
                PendingDelivery delivery = await producer.EnqueueAsync(record, cancellationToken).ConfigureAwait(false);
                await waiting.WriteAsync((delivery, (int)line.Length), cancellationToken).ConfigureAwait(false);
            }

            if (buffer.Length > MaxLineBytes)
                throw new FormatException($"Line {number + 1} is longer than {MaxLineBytes} bytes; is the input a text file?");

            reader.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted)
                return;
        }
    }

    private static bool TryTakeLine(ref ReadOnlySequence<byte> buffer, bool last, out ReadOnlySequence<byte> line)
    {
        if (buffer.PositionOf((byte)'\n') is { } end)
        {
            line = buffer.Slice(0, end);
            buffer = buffer.Slice(buffer.GetPosition(1, end));
            return true;
        }

        // The last line counts although nothing ends it.
        line = last ? buffer : default;
        buffer = last ? buffer.Slice(buffer.End) : buffer;
        return last && line.Length > 0;
    }

    /// <summary>Counts deliveries in the order of their records; answers the first failure and how many there were, or null.</summary>
    private static async Task<string?> AcknowledgeAsync(ChannelReader<(PendingDelivery Delivery, int Bytes)> waiting, LiveCounter counter)
    {
        long failed = 0;
        ArusException? first = null;
        await foreach ((PendingDelivery delivery, int bytes) in waiting.ReadAllAsync().ConfigureAwait(false))
        {
            try
            {
                await delivery.GetResultAsync().ConfigureAwait(false);
                counter.Add(1, bytes);
            }
            catch (ArusException failure)
            {
                first ??= failure;
                failed++;
            }
        }

        return first is null ? null : $"{failed} records were not acknowledged; the first: {first.Message} [{first.Code}]";
    }

    private static LineFormat Template(ParseResult arguments)
    {
        RecordHeader[] headers = [.. arguments.GetValue(Headers)!.Select(text =>
        {
            int equals = text.IndexOf('=');
            return equals > 0
                ? new RecordHeader(text[..equals], Encoding.UTF8.GetBytes(text[(equals + 1)..]))
                : throw new FormatException($"The header '{text}' is not name=value.");
        })];
        string? separator = arguments.GetValue(KeySeparator);
        return new LineFormat(
            arguments.GetRequiredValue(Topic), string.IsNullOrEmpty(separator) ? null : Encoding.UTF8.GetBytes(separator),
            arguments.GetValue(Partition), headers.Length == 0 ? null : headers);
    }

    private static Throttle? Pace(ParseResult arguments) =>
        arguments.GetValue(Rate) is { } rate ? new Throttle(rate, TimeProvider.System) : null;

    /// <summary>How a line becomes a record.</summary>
    private sealed class LineFormat(string topic, byte[]? keySeparator, int? partition, RecordHeader[]? headers)
    {
        public ProducerRecord<byte[], byte[]> Parse(ReadOnlySequence<byte> line, long number)
        {
            byte[]? key = null;
            byte[] value = line.ToArray();
            if (keySeparator is not null)
            {
                int at = value.AsSpan().IndexOf(keySeparator);
                if (at < 0)
                    throw new FormatException($"Line {number} does not contain the key separator.");

                key = value[..at];
                value = value[(at + keySeparator.Length)..];
            }

            return new ProducerRecord<byte[], byte[]>(topic, key, value) { Partition = partition, Headers = headers };
        }
    }
}
