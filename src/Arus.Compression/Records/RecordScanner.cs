namespace Arus.Compression;

/// <summary>
/// Checks that a payload is exactly so many well-formed records, and shows them to a visitor. The payload comes in pieces of any size,
/// so that records need not be in memory as a whole. Most records lie within one piece and are read at once (<see cref="RecordBounds"/>);
/// this reads what lies across two of them, field by field, and says what is wrong with a malformed record.
/// </summary>
/// <param name="count">The record count in the batch's header.</param>
/// <param name="maxRecordBytes">A longer record is refused.</param>
internal struct RecordScanner<TVisitor>(TVisitor visitor, int count, int maxRecordBytes)
    where TVisitor : struct, IRecordVisitor
{
    private const int MaxShift32 = 28;
    private const int MaxShift64 = 63;

    private TVisitor _visitor = visitor;
    private int _index;

    /// <summary>What comes next, once <see cref="_skip"/> bytes of a key or value are skipped.</summary>
    private Field _field;
    private int _skip;

    /// <summary>Bytes of the record behind what was read and what will be skipped.</summary>
    private int _left;
    private ulong _number;
    private int _shift;
    private int _headers;
    private long _timestampDelta;
    private int _offsetDelta;
    private bool _isKeyNull;
    private bool _hasEnded;
    private ValidationResult _problem;

    private enum Field : byte
    {
        Length,
        Attributes,
        Timestamp,
        Offset,
        KeyLength,
        ValueLength,
        HeaderCount,
        HeaderNameLength,
        HeaderValueLength,
        End,
    }

    public readonly TVisitor Visitor => _visitor;

    /// <summary>Reads the next piece of the payload.</summary>
    /// <returns>False when no more is wanted: a record is malformed, or the visitor has ended the walk.</returns>
    public bool Feed(ReadOnlySpan<byte> piece)
    {
        int at = 0;
        while (at < piece.Length)
        {
            if (_field == Field.Length && _shift == 0)
            {
                at = RecordBounds.ReadWhole(piece, at, count, maxRecordBytes, ref _visitor, ref _index, ref _hasEnded);
                if (_hasEnded || at == piece.Length)
                    return !_hasEnded;

                if (_index == count)
                {
                    _problem = ValidationResult.Invalid($"There are bytes after the last of {count} records.");
                    return false;
                }
            }

            if (!ReadFields(piece, ref at))
                return false;
        }

        return true;
    }

    /// <summary>The payload is over, unless there is a problem already or the visitor has ended the walk.</summary>
    public readonly ValidationResult Finish() =>
        !_problem.IsOk || _hasEnded || _index == count ? _problem
        : _field == Field.Length && _shift == 0
            ? ValidationResult.Invalid($"There are {_index} records in the batch; its header says {count}.")
        : ValidationResult.Invalid($"Record {_index} of {count} runs past the end of the batch.");

    /// <summary>Reads to the end of a record or of the piece.</summary>
    private bool ReadFields(ReadOnlySpan<byte> piece, ref int at)
    {
        while (true)
        {
            int skip = Math.Min(_skip, piece.Length - at);
            _skip -= skip;
            at += skip;
            if (_skip == 0 && _field == Field.End)
                return EndRecord();

            if (at == piece.Length)
                return true;

            byte next = piece[at++];
            if (_field != Field.Length && --_left < 0)
                return Fail("its fields do not fit into its length");

            if (_field == Field.Attributes)
                _field = Field.Timestamp; // No bit of a record's attributes is in use.
            else if (!Accumulate(next) || (next < 0x80 && !Take()))
                return false;
        }
    }

    /// <summary>Adds a byte to the number that is being read.</summary>
    private bool Accumulate(byte next)
    {
        _number |= (ulong)(next & 0x7F) << _shift;
        if (_field == Field.Timestamp ? _shift == MaxShift64 && next > 1 : _shift == MaxShift32 && next > 0x0F)
        {
            return _field == Field.Length
                ? Fail("its length is no number of 32 bits", ErrorCode.UnknownServerError) // Kafka's code for it.
                : Fail("a number has too many bytes");
        }

        _shift += 7;
        return true;
    }

    /// <summary>The number is whole.</summary>
    private bool Take()
    {
        long value = (long)(_number >> 1) ^ -(long)(_number & 1);
        (_number, _shift) = (0, 0);
        switch (_field)
        {
            case Field.Length:
                return TakeLength((int)value);
            case Field.Timestamp:
                _timestampDelta = value;
                _field = Field.Offset;
                return true;
            case Field.Offset:
                _offsetDelta = (int)value;
                _field = Field.KeyLength;
                return true;
            case Field.KeyLength:
                _isKeyNull = value < 0;
                return TakeBytes((int)value, least: -1, Field.ValueLength);
            case Field.ValueLength:
                return TakeBytes((int)value, least: -1, Field.HeaderCount);
            case Field.HeaderCount:
                _headers = (int)value;
                _field = value == 0 ? Field.End : Field.HeaderNameLength;
                return value >= 0 || Fail($"it says that it has {value} headers");
            case Field.HeaderNameLength:
                return TakeBytes((int)value, least: 0, Field.HeaderValueLength);
            default:
                return TakeBytes((int)value, least: -1, --_headers == 0 ? Field.End : Field.HeaderNameLength);
        }
    }

    private bool TakeLength(int length)
    {
        _left = length;
        _field = Field.Attributes;
        return length <= 0 ? Fail($"its length is {length}")
            : length <= maxRecordBytes
                || Fail($"it has {length} bytes, and the limit is {TopicConfigs.MaxDecompressedMessageBytes}={maxRecordBytes}");
    }

    private bool TakeBytes(int length, int least, Field next)
    {
        _field = next;
        _skip = Math.Max(0, length);
        _left -= _skip;
        return (length >= least && _left >= 0) || Fail("its fields do not fit into its length");
    }

    private bool EndRecord()
    {
        if (_left != 0)
            return Fail($"{_left} bytes follow its last header");

        _field = Field.Length;
        _hasEnded = !_visitor.Visit(_index, _timestampDelta, _offsetDelta, _isKeyNull);
        _index++;
        return !_hasEnded;
    }

    private bool Fail(string reason, ErrorCode error = ErrorCode.InvalidRecord)
    {
        _problem = new ValidationResult(error, $"Record {_index} of {count} is malformed: {reason}.");
        return false;
    }
}
