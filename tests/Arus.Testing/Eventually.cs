namespace Arus.Testing;

/// <summary>For what only the other end can tell: asks until it says so.</summary>
public static class Eventually
{
    /// <summary>
    /// Asks until the answer is as wanted. Each question is a call to a cluster, which is what paces it; the deadline bounds it.
    /// </summary>
    /// <param name="mayFail">Whether a question that failed is asked again.</param>
    public static async Task<T> AsksAsync<T>(Func<Task<T>> ask, Func<T, bool> wanted, Func<Exception, bool> mayFail, TimeSpan limit)
    {
        using var deadline = new CancellationTokenSource(limit);
        string last = "no answer";
        while (!deadline.IsCancellationRequested)
        {
            try
            {
                T answer = await ask();
                if (wanted(answer))
                {
                    return answer;
                }

                last = $"{answer}";
            }
            catch (Exception e) when (mayFail(e))
            {
                last = e.Message;
            }

            await Task.Yield();
        }

        throw new TimeoutException($"The answer was never as wanted; the last was: {last}");
    }
}
