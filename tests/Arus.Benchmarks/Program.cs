namespace Arus.Benchmarks;

internal static class Program
{
    private static readonly Dictionary<string, Func<string[], Task>> Benchmarks = new(StringComparer.Ordinal)
    {
        ["log"] = LogBenchmarks.RunAsync,
        ["log-idle"] = LogBenchmarks.IdleAsync,
        ["rows"] = RowBenchmarks.RunAsync,
        ["codecs"] = CodecBenchmarks.RunAsync,
        ["validation"] = ValidationBenchmarks.RunAsync,
        ["client"] = ClientBenchmarks.RunAsync,
        ["topics"] = TopicBenchmarks.RunAsync,
    };

    private static async Task<int> Main(string[] args)
    {
        if (args.Length == 0 || !Benchmarks.TryGetValue(args[0], out Func<string[], Task>? benchmark))
        {
            Console.Error.WriteLine(
                $"Usage: dotnet run -c Release --project tests/Arus.Benchmarks -- <{string.Join('|', Benchmarks.Keys)}> [options]");
            return 2;
        }

        await benchmark(args[1..]);
        return 0;
    }
}
