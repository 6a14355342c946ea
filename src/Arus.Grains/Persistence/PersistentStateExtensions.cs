using Orleans.Runtime;
using Orleans.Storage;

namespace Arus.Grains;

/// <summary>How grains change their durable state.</summary>
internal static class PersistentStateExtensions
{
    /// <summary>Replaces the state as a whole. If the write fails the old one comes back, since answers are read from it.</summary>
    /// <param name="grain">Ends where another activation of it wrote: the next activation reads what that one wrote.</param>
    /// <param name="what">What has the state, as the caller is told: "The configuration".</param>
    /// <exception cref="ArusException">
    /// <see cref="ErrorCode.RequestTimedOut"/>: another activation wrote; the change may be repeated.
    /// </exception>
    public static async Task ReplaceAsync<TState>(this IPersistentState<TState> state, TState next, IGrainBase grain, string what)
    {
        TState before = state.State;
        state.State = next;
        try
        {
            // The grain goes on in turns of its own.
            await state.WriteStateAsync().ConfigureAwait(true);
        }
        catch (Exception e)
        {
            state.State = before;
            if (e is not InconsistentStateException)
                throw;

            grain.DeactivateOnIdle();
            throw new ArusException(ErrorCode.RequestTimedOut, $"{what} was changed elsewhere at the same time; try again.", e);
        }
    }
}
