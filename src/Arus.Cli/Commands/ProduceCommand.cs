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
        new("--header", "-H") { Description = "a header for every record, name=value; may be repeated" };
    private static readonly Option<int?> Partition = new("--partition") { Description = "put every record into this partition" };
    private static readonly Option<int?> Rate =
        new Option<int?>("--rate") { Description = "at most so many records a second" }.AtLeast(1);
    private static readonly Option<string> Acks = new("--acks") { Description = "0, 1 or all", DefaultValueFactory = _ => "all" };

    internal static Option<CompressionType> Codec { get; } =
        new("--compression", "-z") { HelpName = "codec", Description = "none, gzip, snappy, lz4 or zstd" };

    static ProduceCommand() => Acks.AcceptOnlyFromAmong("0", "1", "all");

    public static Command Build(Application application)
    {
        var command = new Command("produce", "Append a record for each line of a file or of standard input.")
        {
            Topic, File, KeySeparator, Headers, Partition, Rate, Codec, Acks,
        };
        return application.Connected(command, async run =>
        {
            var counter = new LiveCounter(run.Terminal, TimeProvider.System);
            string? failure = null;
            await counter.ShowAsync("acknowledged", async () => failure = await ProduceAsync(run, counter));
            run.Terminal.Error.WriteLine(counter.Describe("acknowledged"));
            if (failure is not null)
                throw new IOException(failure);
        });
    }

    private static async Task<string?> ProduceAsync(CommandRun run, LiveCounter counter)
    {
        var options = new ProducerOptions
        {
            Compression = run.Get(Codec),
            Acks = run.Get(Acks) switch { "0" => Client.Acks.None, "1" => Client.Acks.Leader, _ => Client.Acks.All },
        };
        await using Stream input = run.Get(File)?.OpenRead() ?? run.Terminal.Input;
        await using IProducer<byte[], byte[]> producer = run.Client.CreateProducer<byte[], byte[]>(options);
        var waiting = Channel.CreateBounded<(PendingDelivery Delivery, int Bytes)>(
            new BoundedChannelOptions(MaxUnacknowledged) { SingleReader = true, SingleWriter = true });
        Task<string?> acknowledging = AcknowledgeAsync(waiting.Reader, counter);
        try
        {
            await ReadAsync(input, Template(run), producer, waiting.Writer, run);
        }
        finally
        {
            waiting.Writer.Complete();
        }

        await producer.FlushAsync(run.Cancellation);
        return await acknowledging;
    }

    private static async Task ReadAsync(
        Stream input, LineFormat format, IProducer<byte[], byte[]> producer, ChannelWriter<(PendingDelivery, int)> waiting, CommandRun run)
    {
        PipeReader reader = PipeReader.Create(input, new StreamPipeReaderOptions(bufferSize: 256 * 1024, leaveOpen: true));
        Throttle? throttle = run.Get(Rate) is { } rate ? new Throttle(rate, TimeProvider.System) : null;
        long number = 0;
        while (true)
        {
            ReadResult read = await reader.ReadAsync(run.Cancellation);
            ReadOnlySequence<byte> buffer = read.Buffer;
            while (TryTakeLine(ref buffer, read.IsCompleted, out ReadOnlySequence<byte> line))
            {
                number++;
                if (throttle is not null)
                    await throttle.WaitAsync(run.Cancellation);

                PendingDelivery delivery = await producer.EnqueueAsync(format.Parse(line, number), run.Cancellation);
                await waiting.WriteAsync((delivery, (int)line.Length), run.Cancellation);
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
        await foreach ((PendingDelivery delivery, int bytes) in waiting.ReadAllAsync())
        {
            try
            {
                await delivery.GetResultAsync();
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

    private static LineFormat Template(CommandRun run)
    {
        RecordHeader[] headers = [.. run.Get(Headers).Select(text =>
        {
            int equals = text.IndexOf('=');
            return equals > 0
                ? new RecordHeader(text[..equals], Encoding.UTF8.GetBytes(text[(equals + 1)..]))
                : throw new FormatException($"The header '{text}' is not name=value.");
        })];
        byte[] separator = Encoding.UTF8.GetBytes(run.Get(KeySeparator) ?? "");
        return new LineFormat(run.Get(Topic), separator, run.Get(Partition), headers.Length == 0 ? null : headers);
    }

    /// <summary>How a line becomes a record.</summary>
    private sealed class LineFormat(string topic, byte[] keySeparator, int? partition, RecordHeader[]? headers)
    {
        public ProducerRecord<byte[], byte[]> Parse(ReadOnlySequence<byte> line, long number)
        {
            byte[]? key = null;
            byte[] value = line.ToArray();
            if (keySeparator.Length > 0)
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
