using Microsoft.Extensions.Time.Testing;

namespace Arus.Chaos.Tests;

/// <summary>Which faults a run has, and what their outages are taken for.</summary>
public sealed class FaultTests
{
    [Fact]
    public void A_run_of_as_many_slots_as_kinds_has_each_kind()
    {
        var schedule = new FaultSchedule(Faults.All, new Random(5), TimeSpan.FromSeconds(20));
        (Fault Fault, TimeSpan Delay)[] round = [.. Faults.All.Select(_ => schedule.Next())];
        Assert.Equal(Faults.All.Select(fault => fault.Kind).Order(), round.Select(next => next.Fault.Kind).Order());
        Assert.All(round, next => Assert.InRange(next.Delay, TimeSpan.Zero, TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public void An_outage_counts_for_its_partition_its_client_and_only_then_for_all()
    {
        var time = new FakeTimeProvider();
        var meter = new AvailabilityMeter(time, ["a", "b"], 2);
        Acknowledge(meter, time, seconds: 1, ("a", 0), ("a", 1), ("b", 0), ("b", 1));
        Acknowledge(meter, time, seconds: 2, ("a", 0), ("b", 0), ("b", 1));
        Acknowledge(meter, time, seconds: 3, ("a", 0), ("b", 0));
        IReadOnlyList<Gap> gaps = meter.Gaps();
        Assert.DoesNotContain(gaps, gap => gap.Partition is null);
        Assert.Equal(3, Assert.Single(gaps, gap => gap is { Client: null, Partition: 1 }).Length.TotalSeconds, 0.2);
        Assert.Equal(5, Assert.Single(gaps, gap => gap is { Client: "a", Partition: 1 }).Length.TotalSeconds, 0.2);
        Assert.DoesNotContain(gaps, gap => gap is { Client: "a", Partition: 0 });
    }

    [Fact]
    public void An_outage_belongs_to_the_fault_in_whose_time_it_began()
    {
        var time = new FakeTimeProvider();
        var meter = new AvailabilityMeter(time, ["a"], 1);
        FaultEvent first = At(5);
        FaultEvent second = At(20);
        Gap[] gaps = [Between(1, 2), Between(4.8, 9), Between(15, 22), Between(20.1, 21)];
        Assert.Equal([gaps[1], gaps[2]], FaultReport.GapsOf(0, [first, second], gaps));
        Assert.Equal([gaps[3]], FaultReport.GapsOf(1, [first, second], gaps));

        FaultEvent At(double seconds)
        {
            time.Advance(TimeSpan.FromSeconds(seconds) - meter.Now);
            return new FaultEvent("kill", () => meter.Now);
        }

        static Gap Between(double from, double to) => new(null, 0, TimeSpan.FromSeconds(from), TimeSpan.FromSeconds(to));
    }

    [Theory]
    [InlineData("--minutes", "x")]
    [InlineData("--faults", "kill,plague")]
    [InlineData("--brokers", "6")]
    [InlineData("--seed")]
    [InlineData("--nonsense", "1")]
    public void A_wrong_argument_is_named(params string[] arguments) =>
        Assert.Contains(arguments[^1] == "1" ? arguments[0] : arguments[^1].Split(',')[^1], Assert.Throws<ChaosException>(
            () => Options.Parse(arguments)).Message, StringComparison.Ordinal);

    private static void Acknowledge(
        AvailabilityMeter meter, FakeTimeProvider time, int seconds, params (string Client, int Partition)[] all)
    {
        for (int i = 0; i < seconds * 10; i++)
        {
            time.Advance(TimeSpan.FromMilliseconds(100));
            foreach ((string client, int partition) in all)
                meter.Acknowledge(client, partition);
        }
    }
}
