using System.Globalization;

namespace Arus;

/// <summary>The syntax of configuration values, which is that of Kafka's <c>ConfigDef</c>.</summary>
public static class ConfigText
{
    /// <summary>The items of a comma-separated list, trimmed, without empty ones.</summary>
    public static string[] SplitList(string text) =>
        text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Reads a value of a type; null, or what is wrong.</summary>
    /// <param name="parsed">As it is told back; <paramref name="text"/> without spaces around it when it is wrong.</param>
    internal static string? Parse(string text, ConfigType type, out string parsed)
    {
        parsed = text.Trim();
        switch (type)
        {
            case ConfigType.Boolean:
                if (!bool.TryParse(parsed, out bool flag))
                    return "not a boolean";

                parsed = flag ? "true" : "false";
                return null;
            case ConfigType.Int or ConfigType.Short or ConfigType.Long:
                if (!long.TryParse(parsed, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
                    return "not a whole number";

                (long min, long max) = Range(type);
                if (number < min || number > max)
                    return "out of range";

                parsed = number.ToString(CultureInfo.InvariantCulture);
                return null;
            case ConfigType.Double:
                if (!double.TryParse(parsed, NumberStyles.Float, CultureInfo.InvariantCulture, out double real))
                    return "not a number";

                parsed = Format(real);
                return null;
            case ConfigType.List when parsed.Length > 0:
                string[] items = parsed.Split(',', StringSplitOptions.TrimEntries);
                parsed = string.Join(',', items.Distinct());
                return items.Contains("") ? "an item of the list is empty" : null;
            default:
                return null;
        }
    }

    internal static (long Min, long Max) Range(ConfigType type) => type switch
    {
        ConfigType.Int => (int.MinValue, int.MaxValue),
        ConfigType.Short => (short.MinValue, short.MaxValue),
        _ => (long.MinValue, long.MaxValue),
    };

    /// <summary>As Java writes a double, which is what Kafka tells: <c>1.0</c>, <c>1.0E-4</c>.</summary>
    private static string Format(double value)
    {
        if (!double.IsFinite(value) || value == 0 || Math.Abs(value) is >= 1e-3 and < 1e7)
        {
            string plain = value.ToString(CultureInfo.InvariantCulture);
            return double.IsInteger(value) ? plain + ".0" : plain;
        }

        string shortest = "";
        for (int digits = 0; digits <= 16; digits++)
        {
            shortest = value.ToString($"E{digits}", CultureInfo.InvariantCulture);
            if (double.Parse(shortest, CultureInfo.InvariantCulture) == value)
                break;
        }

        int e = shortest.IndexOf('E');
        string mantissa = shortest[..e];
        int exponent = int.Parse(shortest.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        return FormattableString.Invariant($"{mantissa}{(mantissa.Contains('.') ? "" : ".0")}E{exponent}");
    }
}
