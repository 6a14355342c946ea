"""kafka-python against a broker: bootstrap address as the only argument."""
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import TopicAlreadyExistsError

from common import (DEADLINE, PARTITIONS, RECORDS, Member, Record, check, digest, equal, group_checks, records, skip, unique, until)

BOOTSTRAP = sys.argv[1]
admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP, request_timeout_ms=20000)


def create_topic(topic, partitions=PARTITIONS):
    admin.create_topics([NewTopic(topic, partitions, 1)], timeout_ms=20000)
    until(lambda: partition_count(topic) == partitions, "the new topic in the metadata")


def partition_count(topic):
    found = [t for t in admin.describe_topics([topic]) if t["error_code"] == 0]
    return len(found[0]["partitions"]) if found else 0


def produce(topic, items, **config):
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, linger_ms=5, retries=5, **{"acks": "all", **config})
    try:
        futures = [
            producer.send(topic, value=item.value, key=item.key, headers=item.headers, partition=None if item.key else 0)
            for item in items]
        producer.flush(DEADLINE)
        return [(f.partition, f.offset) for f in (future.get(DEADLINE) for future in futures)]
    finally:
        producer.close(10)


def to_record(message):
    return Record(message.key, message.value, [(k, v) for k, v in message.headers])


class Poller:
    def __init__(self, group, topic):
        self.consumer = KafkaConsumer(
            topic, bootstrap_servers=BOOTSTRAP, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
            session_timeout_ms=10000, heartbeat_interval_ms=500, metadata_max_age_ms=5000)

    def poll(self):
        found = self.consumer.poll(timeout_ms=200)
        return [(m.partition, m.offset, to_record(m)) for batch in found.values() for m in batch]

    def assigned(self):
        return set(p.partition for p in self.consumer.assignment())

    def commit(self):
        if self.assigned():
            self.consumer.commit()

    def close(self):
        self.consumer.close(autocommit=False)


def read_all(topic, count, **config):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None, **config)
    try:
        partitions = [TopicPartition(topic, p) for p in range(partition_count(topic))]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        found, end = [], time.monotonic() + DEADLINE
        while len(found) < count:
            for batch in consumer.poll(timeout_ms=500).values():
                found.extend(batch)
            if time.monotonic() > end:
                raise AssertionError("%d of %d records within %d s" % (len(found), count, DEADLINE))
        return found
    finally:
        consumer.close(autocommit=False)


def codec_check(codec):
    topic = unique(codec or "none")
    create_topic(topic)
    sent = records(RECORDS, codec or "none")
    produce(topic, sent, compression_type=codec)
    equal(digest(sent), digest([to_record(m) for m in read_all(topic, len(sent))]), "digest")


def order_check():
    """kafka-python 2.0 has no idempotent producer; one request in flight keeps order."""
    topic = unique("order")
    create_topic(topic, 1)
    sent = [Record(None, b"%d" % i, []) for i in range(2000)]
    produce(topic, sent, max_in_flight_requests_per_connection=1, batch_size=1000)
    found = read_all(topic, len(sent))
    equal([r.value for r in sent], [m.value for m in found], "order")
    equal(list(range(len(sent))), [m.offset for m in found], "offsets")


def acks_check():
    topic = unique("acks")
    create_topic(topic, 1)
    for acks in (0, 1):
        produce(topic, records(50, "acks%d" % acks), acks=acks)
    equal(100, len(read_all(topic, 100)), "records")


def offsets_check():
    topic = unique("offsets")
    create_topic(topic, 1)
    base = 1600000000000
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    for i in range(100):
        producer.send(topic, b"x", timestamp_ms=base + i * 1000)
    producer.flush(DEADLINE)
    producer.close(10)
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None)
    try:
        partition = TopicPartition(topic, 0)
        equal({partition: 0}, consumer.beginning_offsets([partition]), "beginning")
        equal({partition: 100}, consumer.end_offsets([partition]), "end")
        found = consumer.offsets_for_times({partition: base + 41500})[partition]
        equal((42, base + 42000), (found.offset, found.timestamp), "offset by time")
        equal(None, consumer.offsets_for_times({partition: base + 10 ** 9})[partition], "offset by a time after all")
    finally:
        consumer.close(autocommit=False)


def existing_check(topic):
    try:
        admin.create_topics([NewTopic(topic, 1, 1)])
    except TopicAlreadyExistsError:
        return
    raise AssertionError("a topic was created twice")


def config_check(topic):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "123456"})])

    def value():
        entries = admin.describe_configs([resource])[0].resources[0][4]
        return [e[1] for e in entries if e[0] == "retention.ms"]

    until(lambda: value() == ["123456"], "the changed config")


def partitions_check(topic):
    admin.create_partitions({topic: NewPartitions(PARTITIONS + 2)}, timeout_ms=20000)
    until(lambda: partition_count(topic) == PARTITIONS + 2, "the new partitions")


def groups_check(group):
    until(lambda: group in [g for g, _ in admin.list_consumer_groups()], "the group in the list")
    described = admin.describe_consumer_groups([group])[0]
    equal((group, "Empty"), (described.group, described.state), "described group")
    offsets = admin.list_consumer_group_offsets(group)
    equal(PARTITIONS, len(offsets), "partitions with a commit")
    equal(RECORDS + 200, sum(o.offset for o in offsets.values()), "sum of the commits")


def delete_group_check(group):
    results = admin.delete_consumer_groups([group])
    equal([0], [error.errno for _, error in results], "errors")
    until(lambda: group not in [g for g, _ in admin.list_consumer_groups()], "the group is gone")


def delete_check(topic):
    admin.delete_topics([topic], timeout_ms=20000)
    until(lambda: topic not in admin.list_topics(), "the topic is gone")


def main():
    topic = unique("kafka-python")
    check("create topic", create_topic, topic)
    check("create topic that exists is refused", existing_check, topic)
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        check("same bytes out as in: %s" % (codec or "none"), codec_check, codec)
    group = group_checks(topic, produce, lambda g, t: Member(lambda: Poller(g, t)))
    check("one request in flight keeps order", order_check)
    skip("idempotent producer", "kafka-python 2.0 has none")
    check("acks 0 and 1", acks_check)
    check("offsets by time, beginning and end", offsets_check)
    check("admin: list and describe groups and their offsets", groups_check, group)
    check("admin: delete group", delete_group_check, group)
    check("admin: configs", config_check, topic)
    check("admin: add partitions", partitions_check, topic)
    check("admin: cluster", lambda: equal(True, len(admin.describe_cluster()["brokers"]) >= 1, "brokers"))
    check("admin: delete topic", delete_check, topic)
    print("done")


main()
