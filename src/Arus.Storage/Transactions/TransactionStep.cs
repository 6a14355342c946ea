namespace Arus.Storage;

internal enum TransactionStepKind
{
    /// <summary>The batch neither begins nor ends a transaction.</summary>
    None = 0,
    Begins = 1,
    Commits = 2,
    Aborts = 3,
}

/// <summary>What a batch does to its producer's transaction.</summary>
/// <param name="FirstOffset">Of the transaction.</param>
internal readonly record struct TransactionStep(TransactionStepKind Kind, long ProducerId, long FirstOffset);
