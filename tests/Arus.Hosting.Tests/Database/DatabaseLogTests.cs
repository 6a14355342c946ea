using System.Reflection;
using Arus.Grains;
using Arus.Storage;
using Arus.Storage.Rows;
using Arus.Storage.Tests.Conformance;
using Arus.Testing;
using Xunit.Sdk;

namespace Arus.Hosting.Tests;

/// <summary>
/// Logs in the rows of a cluster's database: each test of what every log does, and that a log which is deleted afterwards has left no row
/// in any table.
/// </summary>
public sealed class DatabaseLogTests(DatabaseLogTests.OneDatabase databases) : IClassFixture<DatabaseLogTests.OneDatabase>
{
    /// <summary>Each conformance test and the number of its arguments, where it has any.</summary>
    public static TheoryData<string, int> ConformanceTests
    {
        get
        {
            var tests = new TheoryData<string, int>();
            foreach (MethodInfo test in typeof(LogConformanceTests).GetMethods().Where(IsTest))
            {
                for (int row = 0; row < RowsOf(test).Count; row++)
                    tests.Add(test.Name, row);
            }

            return tests;
        }
    }

    [PostgresTheory, MemberData(nameof(ConformanceTests))]
    public async Task Logs_in_a_database_do_what_every_log_does(string test, int row)
    {
        GrainDatabase database = await databases.GetAsync();
        var host = new RowLogHost(() => Task.FromResult<ISegmentRowStore>(
            new GrainStorageRowStore(database.Storage, new TopicPartition("orders", 0), Guid.NewGuid())));
        MethodInfo method = typeof(LogConformanceTests).GetMethod(test)!;
        await (Task)method.Invoke(new Suite(host), RowsOf(method)[row])!;
        await host.DeleteAsync();
        Assert.Equal(0L, await database.CountAsync());
    }

    private static bool IsTest(MethodInfo method) => method.GetCustomAttribute<FactAttribute>() is not null;

    private static List<object[]> RowsOf(MethodInfo test)
    {
        DataAttribute[] data = [.. test.GetCustomAttributes<DataAttribute>()];
        return data.Length == 0 ? [[]] : [.. data.SelectMany(rows => rows.GetData(test))];
    }

    /// <summary>Made when a test first wants it: where there is no PostgreSQL all are skipped.</summary>
    public sealed class OneDatabase : IAsyncLifetime
    {
        private GrainDatabase? _database;

        internal async Task<GrainDatabase> GetAsync() => _database ??= await GrainDatabase.CreateAsync();

        public Task InitializeAsync() => Task.CompletedTask;

        public async Task DisposeAsync()
        {
            if (_database is not null)
                await _database.DisposeAsync();
        }
    }

    /// <summary>Not a class of tests for the runner, which has no host to give.</summary>
    private sealed class Suite(LogHost host) : LogConformanceTests(host);
}
