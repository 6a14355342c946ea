using Orleans.Serialization;

namespace Arus.Standin.Tests.Serialization;

public sealed class DeepCopierTests
{
    private readonly DeepCopier _copier = new(new CodecProvider());

    [Fact]
    public void Mutable_parts_are_copied()
    {
        var original = new Positional(1, "t", new byte[] { 1 });
        Positional copy = _copier.Copy(original);

        Assert.NotSame(original, copy);
        Assert.Same(original.Text, copy.Text);
        Assert.False(original.Payload.Span.Overlaps(copy.Payload.Span));
        Assert.Equal(original.Payload.ToArray(), copy.Payload.ToArray());
    }

    [Fact]
    public void An_immutable_type_is_shared()
    {
        var frozen = new Frozen([1]);
        Assert.Same(frozen, _copier.Copy(frozen));
        Assert.Same(frozen, _copier.Copy<object>(frozen));
        Assert.Same(frozen, _copier.Copy(new List<Frozen> { frozen })[0]);
    }

    [Fact]
    public void An_immutable_member_is_shared_and_its_neighbour_is_not()
    {
        var original = new SharesMember { Shared = [1], Copied = [2] };
        SharesMember copy = _copier.Copy(original);

        Assert.Same(original.Shared, copy.Shared);
        Assert.NotSame(original.Copied, copy.Copied);
        Assert.Equal(original.Copied, copy.Copied);
    }

    [Fact]
    public void A_promised_value_is_shared()
    {
        int[] numbers = [1];
        Assert.Same(numbers, _copier.Copy(new Orleans.Concurrency.Immutable<int[]>(numbers)).Value);
    }

    [Fact]
    public void A_derived_value_is_copied_as_what_it_is()
    {
        Animal original = Dog.Create("Rex", 4, null);
        var copy = Assert.IsType<Dog>(_copier.Copy(original));
        Assert.NotSame(original, copy);
        Assert.Equal(("Rex", 4), (copy.Name, copy.Age));
    }

    [Fact]
    public void Structs_with_mutable_parts_are_copied()
    {
        var original = new Tagged(new Point(1, 2), ["a"]);
        Tagged copy = _copier.Copy(original);
        Assert.Equal(original.Point, copy.Point);
        Assert.NotSame(original.Tags, copy.Tags);
    }

    [Fact]
    public void Collections_are_copied_with_their_comparers()
    {
        var original = new Dictionary<string, int[]>(StringComparer.OrdinalIgnoreCase) { ["a"] = [1] };
        Dictionary<string, int[]> copy = _copier.Copy(original);
        Assert.NotSame(original["a"], copy["A"]);
        Assert.Equal(original["a"], copy["A"]);
    }
}
