using System.Data.Common;

namespace Arus.Hosting.Database;

/// <summary>
/// Failures of the database as grains and their callers get them. The driver's own exceptions cannot travel between silos: a caller would
/// be told that a codec is missing, and not that it may try again.
/// </summary>
internal static class DatabaseFailure
{
    /// <exception cref="IOException">The database failed, or did not answer in time; whether a change took effect is unknown.</exception>
    public static async Task<T> TranslateAsync<T>(Task<T> operation)
    {
        try
        {
            return await operation.ConfigureAwait(false);
        }
        catch (DbException e)
        {
            throw Translate(e);
        }
    }

    /// <inheritdoc cref="TranslateAsync{T}(Task{T})"/>
    public static async Task TranslateAsync(Task operation)
    {
        try
        {
            await operation.ConfigureAwait(false);
        }
        catch (DbException e)
        {
            throw Translate(e);
        }
    }

    /// <summary>The message of the deepest exception: the driver's own says only that it failed to connect, read or write.</summary>
    public static string Describe(DbException e) => e.GetBaseException().Message.ReplaceLineEndings(" ");

    /// <summary>Without the driver's exception within, which could not travel either.</summary>
    private static IOException Translate(DbException e) => new($"The database failed: {Describe(e)}");
}
