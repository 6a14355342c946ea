using Spectre.Console;

namespace Arus.Cli;

/// <summary>Waits for something that takes long, under a bar on standard error while somebody watches.</summary>
internal static class WaitBar
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(250);

    /// <param name="count">Asks how much of <paramref name="total"/> is done.</param>
    public static async Task ShowAsync(CommandRun run, string what, int total, Func<Task<int>> count)
    {
        if (!run.Terminal.Interactive)
        {
            await WaitAsync(_ => { });
            return;
        }

        await run.Terminal.Display().Progress().StartAsync(async progress =>
        {
            ProgressTask bar = progress.AddTask(what, maxValue: Math.Max(1, total));
            await WaitAsync(done => bar.Value = done);
        });

        async Task WaitAsync(Action<int> show)
        {
            for (int done = await count(); done < total; done = await count())
            {
                show(done);
                await Task.Delay(PollInterval, run.Cancellation);
            }

            show(total);
        }
    }

    /// <summary>Runs what tells how many of how many are done.</summary>
    public static async Task<T> ShowAsync<T>(Terminal terminal, string what, Func<Action<int, int>, Task<T>> run)
    {
        if (!terminal.Interactive)
            return await run((_, _) => { });

        return await terminal.Display().Progress().StartAsync(progress =>
        {
            ProgressTask bar = progress.AddTask(what);
            return run((done, total) => (bar.MaxValue, bar.Value) = (Math.Max(1, total), done));
        });
    }
}
