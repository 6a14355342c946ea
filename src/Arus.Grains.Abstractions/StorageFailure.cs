using System.Data.Common;
using Orleans.Runtime;
using Orleans.Serialization;

namespace Arus.Grains;

/// <summary>Recognizes failures of the storage of grains (a disk, a database) among the exceptions of a grain call.</summary>
internal static class StorageFailure
{
    /// <summary>Wrappers within wrappers are looked through so far.</summary>
    private const int MaxDepth = 8;

    /// <summary>
    /// Whether <paramref name="exception"/> says that a grain could not read or write its state or its log. The same call may succeed once
    /// the storage is mended, unless it is a <see cref="CorruptGrainStateException"/>, which needs a person first.
    /// </summary>
    public static bool Is(Exception exception)
    {
        for (int depth = 0; depth < MaxDepth; depth++)
        {
            switch (exception)
            {
                case IOException or UnauthorizedAccessException or DbException or CorruptGrainStateException:
                    return true;

                // A provider's own time limit, such as that of a lock; bare, it is that of the call.
                case TimeoutException when depth > 0:
                    return true;

                // A type that this process lacks, such as that of a database driver.
                case UnavailableExceptionFallbackException { ExceptionType: { } type } when IsStorageType(type):
                    return true;

                // Orleans wraps what a storage provider throws in its base exception, unless it is one of Orleans' own. Its subclasses have
                // their own meaning: behind a lost connection there is an IOException as well, and that is the network's.
                case { InnerException: { } inner } when exception.GetType() == typeof(OrleansException)
                    || exception is AggregateException or UnavailableExceptionFallbackException:
                    exception = inner;
                    break;
                default:
                    return false;
            }
        }

        return false;
    }

    /// <param name="type">A full name, with or without an assembly.</param>
    private static bool IsStorageType(string type)
    {
        string name = type.Split(',')[0];
        return name is "Arus.Storage.LogException" or "Npgsql.NpgsqlException" or "Npgsql.PostgresException"
            || name.EndsWith(".SqlException", StringComparison.Ordinal) || name.EndsWith(".MySqlException", StringComparison.Ordinal)
            || name.EndsWith(".SqliteException", StringComparison.Ordinal);
    }
}
