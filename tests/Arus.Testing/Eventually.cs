namespace Arus.Testing;

/// <summary>For what only the other end can tell, such as the state of a cluster: asks until the answer is as wanted.</summary>
public static class Eventually
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    /// <summary>Asks at intervals, so that on a machine with few cores the questions do not starve what they wait for.</summary>
    /// <param name="mayFail">Whether a question that failed is asked again.</param>
    /// <exception cref="TimeoutException">No answer was as wanted within <paramref name="limit"/>; the message has the last.</exception>
    public static async Task<T> AsksAsync<T>(Func<Task<T>> ask, Func<T, bool> wanted, Func<Exception, bool> mayFail, TimeSpan limit)
    {
        using var pace = new PeriodicTimer(Pause);
        long start = TimeProvider.System.GetTimestamp();
        string last;
        do
        {
            try
            {
                T answer = await ask();
                if (wanted(answer))
                    return answer;

                last = $"{answer}";
            }
            catch (Exception e) when (mayFail(e))
            {
                last = e.Message;
            }
        }
        while (TimeProvider.System.GetElapsedTime(start) < limit && await pace.WaitForNextTickAsync());

        throw new TimeoutException($"The answer was never as wanted; the last was: {last}");
    }
}
