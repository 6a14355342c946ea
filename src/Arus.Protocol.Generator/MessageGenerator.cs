using System;
using System.Collections.Immutable;
using System.Linq;
using System.Text;
using System.Threading;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace Arus.Protocol.Generator;

/// <summary>Turns each definition under Messages/ into classes, and those of APIs into the enumeration and the catalog of APIs.</summary>
[Generator(LanguageNames.CSharp)]
public sealed class MessageGenerator : IIncrementalGenerator
{
    private static readonly DiagnosticDescriptor Mistake = new(
        "ARUSMSG", "Message definition", "{0}", "Arus.Protocol", DiagnosticSeverity.Error, isEnabledByDefault: true);

    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        IncrementalValuesProvider<Result> results = context.AdditionalTextsProvider
            .Where(file => file.Path.EndsWith(".msg", StringComparison.Ordinal))
            .Select(Generate);
        context.RegisterSourceOutput(results, (output, result) =>
        {
            if (result.Error is { } error)
            {
                var at = new LinePosition(result.ErrorLine - 1, 0);
                output.ReportDiagnostic(Diagnostic.Create(
                    Mistake, Location.Create(result.Path, default, new LinePositionSpan(at, at)), error));
                return;
            }

            output.AddSource(result.Name + ".g.cs", SourceText.From(result.Source, Encoding.UTF8));
        });
        context.RegisterSourceOutput(
            results.Select((result, _) => result.Api).Where(api => api != null).Select((api, _) => api!).Collect(),
            (output, apis) => output.AddSource("ApiCatalog.g.cs", SourceText.From(Catalog(apis), Encoding.UTF8)));
    }

    private static Result Generate(AdditionalText file, CancellationToken cancellation)
    {
        int line = 0;
        try
        {
            Definition found = DefinitionParser.Parse(file.GetText(cancellation)?.ToString() ?? "", out line);
            Api? api = found.ApiKey is { } key
                ? new Api(key, found.Name, found.Versions.Min, found.Versions.Max, found.FlexibleSince)
                : null;
            return new Result(file.Path, found.Name, MessageEmitter.Emit(found), api, null, 0);
        }
        catch (DefinitionException e)
        {
            return new Result(file.Path, "", "", null, e.Message, line);
        }
    }

    private static string Catalog(ImmutableArray<Api> apis)
    {
        Api[] sorted = [.. apis.OrderBy(api => api.Key)];
        var code = new CodeWriter();
        code.Line();
        code.Line("/// <summary>The keys of the APIs that this library reads and writes (protocol page \"Api Keys\").</summary>");
        code.Block("public enum ApiKey : short", () =>
        {
            foreach (Api api in sorted)
            {
                code.Line($"/// <summary>See <see cref=\"ApiCatalog.{api.Name}\"/>.</summary>");
                code.Line($"{api.Name} = {api.Key},");
            }
        });
        code.Line();
        code.Block("public static partial class ApiCatalog", () =>
        {
            foreach (Api api in sorted)
            {
                code.Line($"/// <summary>{api.Name}, versions {api.Min} to {api.Max}.</summary>");
                code.Line($"public static ApiDescriptor {api.Name} {{ get; }} = new(ApiKey.{api.Name}, {api.Min}, {api.Max}, "
                    + $"{api.FlexibleSince}, {api.Name}Request.Read, {api.Name}Response.Read);");
                code.Line();
            }

            code.Line($"private static ApiDescriptor[] Defined() => [{string.Join(", ", sorted.Select(api => api.Name))}];");
        });
        return code.ToString();
    }

    private sealed record Api(int Key, string Name, int Min, int Max, int FlexibleSince);

    private sealed record Result(string Path, string Name, string Source, Api? Api, string? Error, int ErrorLine);
}
