namespace Arus.Benchmarks;

internal static class Program
{
    private static readonly Dictionary<string, Func<string[], Task>> s_benchmarks = new(StringComparer.Ordinal)
    {
        ["log"] = LogBenchmarks.RunAsync,
        ["log-idle"] = LogBenchmarks.IdleAsync,
        ["codecs"] = CodecBenchmarks.RunAsync,
        ["client"] = ClientBenchmarks.RunAsync,
        ["topics"] = TopicBenchmarks.RunAsync,
    };

    private static async Task<int> Main(string[] args)
    {
        if (args.Length == 0 || !s_benchmarks.TryGetValue(args[0], out Func<string[], Task>? benchmark))
        {
            Console.Error.WriteLine($"Usage: dotnet run -c Release --project tests/Arus.Benchmarks -- <{string.Join('|', s_benchmarks.Keys)}> [options]");
            return 2;
        }

        await benchmark(args[1..]);
        return 0;
    }
}
