using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Arus.Client;

namespace Arus.Cli;

internal enum RecordFormat
{
    Value,
    KeyValue,
    Json,
}

/// <summary>Writes records as lines: keys and values as the bytes that they are, in JSON as text, or base64 where they are none.</summary>
internal sealed class RecordWriter(Stream output, RecordFormat format, bool json, string keySeparator)
{
    private const int FlushBytes = 64 * 1024;

    private static readonly JsonWriterOptions JsonOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly ArrayBufferWriter<byte> _buffer = new(2 * FlushBytes);
    private readonly byte[] _separator = Encoding.UTF8.GetBytes(keySeparator);
    private readonly RecordFormat _format = json ? RecordFormat.Json : format;

    public void Write(in ConsumeResult<byte[], byte[]> record)
    {
        switch (_format)
        {
            case RecordFormat.Json:
                WriteJson(record);
                break;
            case RecordFormat.KeyValue:
                _buffer.Write(record.Key);
                _buffer.Write(_separator);
                _buffer.Write(record.Value);
                break;
            default:
                _buffer.Write(record.Value);
                break;
        }

        _buffer.Write("\n"u8);
        if (_buffer.WrittenCount >= FlushBytes)
            Flush();
    }

    public void Flush()
    {
        output.Write(_buffer.WrittenSpan);
        output.Flush();
        _buffer.ResetWrittenCount();
    }

    private void WriteJson(in ConsumeResult<byte[], byte[]> record)
    {
        using var writer = new Utf8JsonWriter(_buffer, JsonOptions);
        writer.WriteStartObject();
        writer.WriteString("topic", record.Topic);
        writer.WriteNumber("partition", record.Partition.Partition);
        writer.WriteNumber("offset", record.Offset);
        writer.WriteNumber("timestamp", record.TimestampMs);
        WriteBytes(writer, "key", record.Key);
        WriteBytes(writer, "value", record.Value);
        if (record.Headers.Count > 0)
        {
            writer.WriteStartArray("headers");
            foreach (RecordHeader header in record.Headers)
            {
                writer.WriteStartObject();
                writer.WriteString("key", header.Key);
                WriteBytes(writer, "value", header.Value?.ToArray());
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
        }

        writer.WriteEndObject();
    }

    private static void WriteBytes(Utf8JsonWriter writer, string name, byte[]? bytes)
    {
        if (bytes is null)
        {
            writer.WriteNull(name);
            return;
        }

        try
        {
            writer.WriteString(name, StrictUtf8.GetString(bytes));
        }
        catch (DecoderFallbackException)
        {
            writer.WriteBase64String(name + "Base64", bytes);
        }
    }
}
