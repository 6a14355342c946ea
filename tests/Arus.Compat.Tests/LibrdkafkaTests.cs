using Confluent.Kafka;

namespace Arus.Compat.Tests;

public sealed class LibrdkafkaTests
{
    [Fact]
    public void The_librdkafka_in_use_is_the_one_of_the_package() => Assert.StartsWith("2.16.", Library.VersionString);
}
