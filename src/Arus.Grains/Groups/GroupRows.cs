namespace Arus.Grains;

/// <summary>The head row of a group in grain storage (state name <c>group</c>). Its version says who coordinates the group.</summary>
[GenerateSerializer, Alias("arus.GroupRow")]
public sealed class GroupRow
{
    /// <summary>Counts the coordinators that this group has had.</summary>
    [Id(0)]
    public long Epoch { get; set; }

    /// <summary>Which activation claimed the group last, or created it.</summary>
    [Id(3)]
    public Guid Owner { get; set; }

    /// <summary>How many rows of offsets there are, <c>group-offsets-0</c> and up. A row that was never written counts as empty.</summary>
    [Id(1)]
    public int Pages { get; set; }

    /// <summary>A <see cref="Protocol.GroupMetadata"/>.</summary>
    [Id(2)]
    public byte[] Metadata { get; set; } = [];
}

/// <summary>A row of offsets of a group, committed and pending ones of a partition together: a marker makes the one the other.</summary>
[GenerateSerializer, Alias("arus.GroupOffsetsRow")]
public sealed class GroupOffsetsRow
{
    /// <summary>Of the coordinator that wrote it.</summary>
    [Id(0)]
    public long Epoch { get; set; }

    /// <summary>A <see cref="Protocol.GroupOffsets"/>; empty for none.</summary>
    [Id(1)]
    public byte[] Offsets { get; set; } = [];
}
