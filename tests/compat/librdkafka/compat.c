/* librdkafka against a broker: bootstrap address as the only argument. One line a check. */
#include "compat.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *bootstrap;
static char reason[1024];

bool failed(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return false;
}

static void check(const char *name, bool passed) {
    if (passed)
        printf("ok %s\n", name);
    else
        printf("not ok %s: %s\n", name, reason);
    fflush(stdout);
    reason[0] = 0;
}

long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

void unique(char *name, size_t size, const char *prefix) {
    static int count;
    snprintf(name, size, "compat-%s-%d-%ld-%d", prefix, (int)getpid(), (long)time(NULL), count++);
}

rd_kafka_t *client(rd_kafka_type_t type, const char **config) {
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
    for (; config && *config; config += 2)
        if (rd_kafka_conf_set(conf, config[0], config[1], error, sizeof error) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", error);
            exit(2);
        }
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof error);
    if (!rk) {
        fprintf(stderr, "%s\n", error);
        exit(2);
    }
    return rk;
}

/* A record's value follows from its number: some compress well, some do not, some are empty. */
static size_t value_of(int number, char *value) {
    size_t length = number % 11 == 0 ? 0 : (size_t)((number * 37) % 1500);
    unsigned x = (unsigned)number * 2654435761u + 1;
    for (size_t i = 0; i < length; i++) {
        x = x * 1103515245u + 12345u;
        value[i] = number % 3 == 0 ? (char)(x >> 16) : (char)('a' + number % 26);
    }
    return length;
}

struct report { int delivered, errors; };

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    struct report *report = opaque;
    if (message->err) {
        failed("delivery: %s", rd_kafka_err2str(message->err));
        report->errors++;
    }
    report->delivered++;
}

bool produce(const char *topic, int partition, int first, int count, const char **config) {
    char error[512], value[1500], key[32];
    struct report report = {0, 0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, &report);
    for (; config && *config; config += 2)
        if (rd_kafka_conf_set(conf, config[0], config[1], error, sizeof error) != RD_KAFKA_CONF_OK)
            return failed("%s", error);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    for (int i = first; i < first + count; i++) {
        snprintf(key, sizeof key, "%d", i);
        size_t length = value_of(i, value);
        rd_kafka_resp_err_t err = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE(value, length),
            RD_KAFKA_V_HEADER("number", key, strlen(key)), RD_KAFKA_V_HEADER("null", NULL, 0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_END);
        if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(rk, 10);
            i--;
        } else if (err) {
            report.errors++;
            failed("produce: %s", rd_kafka_err2str(err));
        }
        rd_kafka_poll(rk, 0);
    }
    rd_kafka_resp_err_t err = rd_kafka_flush(rk, DEADLINE_MS);
    rd_kafka_destroy(rk);
    if (err)
        return failed("flush: %s, %d of %d delivered", rd_kafka_err2str(err), report.delivered, count);
    return report.errors == 0 && report.delivered == count;
}

/* The number of a record whose key, value and headers are as they were produced; -1 for another. */
static int verify(const rd_kafka_message_t *message) {
    char key[32], value[1500];
    rd_kafka_headers_t *headers;
    const void *content;
    size_t size;
    if (message->key_len >= sizeof key)
        return -1;
    memcpy(key, message->key, message->key_len);
    key[message->key_len] = 0;
    int number = atoi(key);
    size_t length = value_of(number, value);
    if (message->len != length || (length && memcmp(message->payload, value, length)))
        return failed("record %d has another value", number), -1;
    if (rd_kafka_message_headers(message, &headers) || rd_kafka_header_cnt(headers) != 2 ||
        rd_kafka_header_get_last(headers, "number", &content, &size) || size != message->key_len || memcmp(content, key, size))
        return failed("record %d has other headers", number), -1;
    return number;
}

/* Polls once: 1 for a good record (its number in *number), 0 for none, -1 for an error. */
static int poll_once(rd_kafka_t *rk, int timeout, int *number, int32_t *partition) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, timeout);
    if (!message)
        return 0;
    int result = 1;
    if (message->err) {
        failed("consume: %s", rd_kafka_message_errstr(message));
        result = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ? 0 : -1;
    } else {
        *number = verify(message);
        *partition = message->partition;
        result = *number < 0 ? -1 : 1;
    }
    rd_kafka_message_destroy(message);
    return result;
}

/* Reads all partitions from the start: each number of [0, count) once, and in order within a partition. */
static bool read_all(const char *topic, int partitions, int count) {
    const char *config[] = {"group.id", "compat-reader", "enable.auto.commit", "false", "check.crcs", "true", NULL};
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, config);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    bool *seen = calloc((size_t)count, sizeof *seen);
    int last[64], found = 0, number, status = 0;
    int32_t partition;
    for (int p = 0; p < partitions; p++) {
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
        last[p] = -1;
    }
    rd_kafka_assign(rk, list);
    long end = now_ms() + DEADLINE_MS;
    while (found < count && now_ms() < end && (status = poll_once(rk, 200, &number, &partition)) >= 0) {
        if (status == 0)
            continue;
        if (number >= count || seen[number] || number <= last[partition]) {
            failed("record %d came twice or out of order", number);
            status = -1;
            break;
        }
        seen[number] = true;
        last[partition] = number;
        found++;
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    free(seen);
    return status >= 0 && (found == count || failed("%d of %d records", found, count));
}

static bool codec(const char *name) {
    char topic[128];
    const char *config[] = {"compression.codec", name, "linger.ms", "5", NULL};
    unique(topic, sizeof topic, name);
    return create_topic(topic, PARTITIONS) && produce(topic, RD_KAFKA_PARTITION_UA, 0, RECORDS, config) && read_all(topic, PARTITIONS, RECORDS);
}

static bool idempotent(void) {
    char topic[128];
    const char *config[] = {"enable.idempotence", "true", "max.in.flight", "5", "batch.num.messages", "20", "linger.ms", "0", NULL};
    unique(topic, sizeof topic, "idempotent");
    return create_topic(topic, 1) && produce(topic, 0, 0, 10000, config) && read_all(topic, 1, 10000);
}

static bool watermarks(void) {
    char topic[128];
    int64_t low, high;
    unique(topic, sizeof topic, "watermarks");
    if (!create_topic(topic, 1) || !produce(topic, 0, 0, 100, NULL))
        return false;
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, topic, 0, &low, &high, DEADLINE_MS);
    rd_kafka_destroy(rk);
    return (!err && low == 0 && high == 100) || failed("%s: %ld to %ld", rd_kafka_err2str(err), (long)low, (long)high);
}

static rd_kafka_t *member(const char *group, const char *topic, const char *strategy) {
    const char *config[] = {
        "group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false", "session.timeout.ms", "6000",
        "heartbeat.interval.ms", "500", "partition.assignment.strategy", strategy, NULL};
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, config);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

static int assigned(rd_kafka_t *rk) {
    rd_kafka_topic_partition_list_t *list = NULL;
    rd_kafka_assignment(rk, &list);
    int count = list ? list->cnt : 0;
    if (list)
        rd_kafka_topic_partition_list_destroy(list);
    return count;
}

/* The records that a group has received, by number. */
struct progress {
    bool seen[RECORDS + 200];
    int distinct;
    bool repeats_allowed;
};

/* Polls the members in turn until their assignments are as wanted and `total` different records came. */
static bool consume(rd_kafka_t **members, const int *wanted, int size, struct progress *progress, int total) {
    int number, status;
    int32_t partition;
    long end = now_ms() + DEADLINE_MS;
    while (now_ms() < end) {
        bool settled = true;
        for (int i = 0; i < size; i++) {
            if ((status = poll_once(members[i], 20, &number, &partition)) < 0)
                return false;
            if (status > 0 && number >= RECORDS + 200)
                return failed("unknown record %d", number);
            if (status > 0 && progress->seen[number] && !progress->repeats_allowed)
                return failed("record %d came twice", number);
            if (status > 0 && !progress->seen[number]) {
                progress->seen[number] = true;
                progress->distinct++;
            }
            settled &= assigned(members[i]) == wanted[i];
        }
        if (settled && progress->distinct >= total)
            return progress->distinct == total || failed("%d records, not %d", progress->distinct, total);
    }
    return failed("not within the deadline: %d of %d records, %d partitions at the first member", progress->distinct, total, assigned(members[0]));
}

static bool leave(rd_kafka_t *rk, bool commit) {
    rd_kafka_resp_err_t err = commit ? rd_kafka_commit(rk, NULL, 0) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t closed = rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return (!err && !closed) || failed("commit: %s; close: %s", rd_kafka_err2str(err), rd_kafka_err2str(closed));
}

static bool group(const char *strategy, char *name, char *topic, size_t size) {
    rd_kafka_t *members[2];
    const int one[] = {PARTITIONS}, two[] = {PARTITIONS / 2, PARTITIONS / 2};
    /* Before 2.4 librdkafka rewinds partitions that it keeps in an incremental rebalance (its issue 4686). */
    struct progress progress = {.repeats_allowed = !strcmp(strategy, "cooperative-sticky") && rd_kafka_version() < 0x02040000};
    unique(topic, size, "group");
    unique(name, size, strategy);
    if (!create_topic(topic, PARTITIONS) || !produce(topic, RD_KAFKA_PARTITION_UA, 0, RECORDS, NULL))
        return false;
    members[0] = member(name, topic, strategy);
    if (!consume(members, one, 1, &progress, RECORDS))
        return false;
    rd_kafka_resp_err_t err = rd_kafka_commit(members[0], NULL, 0);
    if (err)
        return failed("commit: %s", rd_kafka_err2str(err));
    members[1] = member(name, topic, strategy);
    if (!consume(members, two, 2, &progress, RECORDS) || !produce(topic, RD_KAFKA_PARTITION_UA, RECORDS, 100, NULL) ||
        !consume(members, two, 2, &progress, RECORDS + 100))
        return false;
    if ((err = rd_kafka_commit(members[0], NULL, 0)))
        return failed("second commit: %s", rd_kafka_err2str(err));
    if (!leave(members[1], true) || !consume(members, one, 1, &progress, RECORDS + 100) || !leave(members[0], false))
        return false;

    /* All was committed, so that a new member gets only what comes now. */
    progress.repeats_allowed = false;
    members[0] = member(name, topic, strategy);
    return produce(topic, RD_KAFKA_PARTITION_UA, RECORDS + 100, 10, NULL) && consume(members, one, 1, &progress, RECORDS + 110) &&
           leave(members[0], true);
}

int main(int argc, char **argv) {
    char topic[128], name[128], shared[128], other[128], other_topic[128];
    bootstrap = argv[1];
    unique(topic, sizeof topic, "librdkafka");
    check("create topic", create_topic(topic, PARTITIONS));
    const char *codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (int i = 0; i < 5; i++) {
        char text[64];
        snprintf(text, sizeof text, "same bytes out as in: %s", codecs[i]);
        check(text, codec(codecs[i]));
    }
    check("group of two, rebalance, restart from the commit: range", group("range", name, shared, sizeof name));
    check("group of two, rebalance, restart from the commit: cooperative-sticky",
          group("cooperative-sticky", other, other_topic, sizeof other));
    check("idempotent producer keeps order", idempotent());
    check("watermarks", watermarks());
    check("admin: create topic that exists is refused", admin_create_twice(topic));
    check("admin: configs", admin_configs(topic));
    check("admin: add partitions", admin_partitions(topic));
    check("admin: list and describe groups and their offsets", admin_groups(name, shared, RECORDS + 110));
    check("admin: reset a group's offsets", admin_reset_offsets(name, shared));
    check("admin: delete a group's offsets", admin_delete_offsets(name, shared));
    check("admin: delete group", admin_delete_group(name));
    check("admin: delete records", admin_delete_records(shared));
    check("admin: delete topic", admin_delete_topic(topic));
    puts("done");
    return 0;
}
