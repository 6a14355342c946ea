/* librdkafka's admin API against a broker. */
#include "compat.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An admin request under way: a client with a queue for the answer. */
struct admin {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_event_t *event;
};

static void begin(struct admin *a, rd_kafka_admin_op_t operation) {
    char error[256];
    a->rk = client(RD_KAFKA_PRODUCER, NULL);
    a->queue = rd_kafka_queue_new(a->rk);
    a->options = rd_kafka_AdminOptions_new(a->rk, operation);
    a->event = NULL;
    rd_kafka_AdminOptions_set_request_timeout(a->options, 30000, error, sizeof error);
    rd_kafka_AdminOptions_set_operation_timeout(a->options, 20000, error, sizeof error);
}

static bool answer(struct admin *a) {
    a->event = rd_kafka_queue_poll(a->queue, DEADLINE_MS);
    if (!a->event)
        return failed("no answer");
    return !rd_kafka_event_error(a->event) || failed("%s", rd_kafka_event_error_string(a->event));
}

static bool end(struct admin *a, bool result) {
    if (a->event)
        rd_kafka_event_destroy(a->event);
    rd_kafka_AdminOptions_destroy(a->options);
    rd_kafka_queue_destroy(a->queue);
    rd_kafka_destroy(a->rk);
    return result;
}

static rd_kafka_resp_err_t create(const char *topic, int partitions) {
    struct admin a;
    size_t count;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
    begin(&a, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_NewTopic_t *new_topic = rd_kafka_NewTopic_new(topic, partitions, 1, NULL, 0);
    rd_kafka_CreateTopics(a.rk, &new_topic, 1, a.options, a.queue);
    rd_kafka_NewTopic_destroy(new_topic);
    if (answer(&a)) {
        const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(a.event), &count);
        err = rd_kafka_topic_result_error(topics[0]);
    }
    end(&a, true);
    return err;
}

static int partition_count(const char *topic) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    int count = -1;
    if (!rd_kafka_metadata(rk, 0, rkt, &metadata, DEADLINE_MS)) {
        count = metadata->topic_cnt == 1 && !metadata->topics[0].err ? metadata->topics[0].partition_cnt : 0;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(rkt);
    rd_kafka_destroy(rk);
    return count;
}

static bool await_partitions(const char *topic, int wanted) {
    long stop = now_ms() + DEADLINE_MS;
    int count;
    while ((count = partition_count(topic)) != wanted && now_ms() < stop)
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    return count == wanted || failed("%d partitions in the metadata, not %d", count, wanted);
}

bool create_topic(const char *topic, int partitions) {
    rd_kafka_resp_err_t err = create(topic, partitions);
    return err ? failed("create: %s", rd_kafka_err2str(err)) : await_partitions(topic, partitions);
}

bool admin_create_twice(const char *topic) {
    rd_kafka_resp_err_t err = create(topic, 1);
    return err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS || failed("%s", rd_kafka_err2str(err));
}

static bool alter_config(const char *topic, const char *name, const char *value) {
    struct admin a;
    size_t count;
    begin(&a, RD_KAFKA_ADMIN_OP_ALTERCONFIGS);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_ConfigResource_set_config(resource, name, value);
    rd_kafka_AlterConfigs(a.rk, &resource, 1, a.options, a.queue);
    rd_kafka_ConfigResource_destroy(resource);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(a.event), &count);
    rd_kafka_resp_err_t err = rd_kafka_ConfigResource_error(resources[0]);
    return end(&a, !err || failed("alter: %s", rd_kafka_ConfigResource_error_string(resources[0])));
}

static bool has_config(const char *topic, const char *name, const char *value) {
    struct admin a;
    size_t resource_count, count;
    begin(&a, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_DescribeConfigs(a.rk, &resource, 1, a.options, a.queue);
    rd_kafka_ConfigResource_destroy(resource);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(a.event), &resource_count);
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(rd_kafka_ConfigEntry_name(entries[i]), name)) {
            const char *actual = rd_kafka_ConfigEntry_value(entries[i]);
            return end(&a, (actual && !strcmp(actual, value)) || failed("%s is %s", name, actual ? actual : "null"));
        }
    return end(&a, failed("%s is not described", name));
}

bool admin_configs(const char *topic) {
    if (!alter_config(topic, "retention.ms", "123456"))
        return false;
    long stop = now_ms() + DEADLINE_MS;
    while (!has_config(topic, "retention.ms", "123456")) {
        if (now_ms() > stop)
            return false;
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    return !alter_config(topic, "retention.ms", "soon") || failed("a wrong value was taken");
}

bool admin_partitions(const char *topic) {
    struct admin a;
    char error[256];
    begin(&a, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(topic, PARTITIONS + 2, error, sizeof error);
    rd_kafka_CreatePartitions(a.rk, &more, 1, a.options, a.queue);
    rd_kafka_NewPartitions_destroy(more);
    return end(&a, answer(&a)) && await_partitions(topic, PARTITIONS + 2);
}

static bool listed(const char *group) {
    struct admin a;
    size_t count;
    bool found = false;
    begin(&a, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS);
    rd_kafka_ListConsumerGroups(a.rk, a.options, a.queue);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_ConsumerGroupListing_t **groups =
        rd_kafka_ListConsumerGroups_result_valid(rd_kafka_event_ListConsumerGroups_result(a.event), &count);
    for (size_t i = 0; i < count; i++)
        found |= !strcmp(rd_kafka_ConsumerGroupListing_group_id(groups[i]), group);
    return end(&a, found || failed("%zu groups are listed, not %s", count, group));
}

static bool described(const char *group) {
    struct admin a;
    size_t count;
    begin(&a, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_DescribeConsumerGroups(a.rk, &group, 1, a.options, a.queue);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(a.event), &count);
    const char *state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(groups[0]));
    const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(groups[0]);
    return end(&a, error ? failed("%s", rd_kafka_error_string(error)) : !strcmp(state, "Empty") || failed("state %s", state));
}

/* The sum of a group's committed offsets; partitions without one count 0. */
static bool committed_sum(const char *group, long wanted) {
    struct admin a;
    size_t count;
    begin(&a, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(group, NULL);
    rd_kafka_ListConsumerGroupOffsets(a.rk, &request, 1, a.options, a.queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_group_result_t **groups =
        rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(a.event), &count);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error)
        return end(&a, failed("%s", rd_kafka_error_string(error)));
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(groups[0]);
    long sum = 0;
    for (int i = 0; i < list->cnt; i++)
        sum += list->elems[i].offset > 0 ? list->elems[i].offset : 0;
    return end(&a, sum == wanted || failed("the committed offsets add up to %ld, not %ld", sum, wanted));
}

bool admin_groups(const char *group, const char *topic, long committed) {
    return listed(group) && described(group) && committed_sum(group, committed);
}

bool admin_reset_offsets(const char *group, const char *topic) {
    struct admin a;
    size_t count;
    begin(&a, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = 5;
    rd_kafka_AlterConsumerGroupOffsets_t *request = rd_kafka_AlterConsumerGroupOffsets_new(group, list);
    rd_kafka_AlterConsumerGroupOffsets(a.rk, &request, 1, a.options, a.queue);
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_group_result_t **groups =
        rd_kafka_AlterConsumerGroupOffsets_result_groups(rd_kafka_event_AlterConsumerGroupOffsets_result(a.event), &count);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error)
        return end(&a, failed("%s", rd_kafka_error_string(error)));
    end(&a, true);
    return committed_sum(group, 5 * PARTITIONS);
}

bool admin_delete_offsets(const char *group, const char *topic) {
    struct admin a;
    begin(&a, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0);
    rd_kafka_DeleteConsumerGroupOffsets_t *request = rd_kafka_DeleteConsumerGroupOffsets_new(group, list);
    rd_kafka_DeleteConsumerGroupOffsets(a.rk, &request, 1, a.options, a.queue);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    return end(&a, answer(&a)) && committed_sum(group, 5 * (PARTITIONS - 1));
}

bool admin_delete_group(const char *group) {
    struct admin a;
    size_t count;
    begin(&a, RD_KAFKA_ADMIN_OP_DELETEGROUPS);
    rd_kafka_DeleteGroup_t *request = rd_kafka_DeleteGroup_new(group);
    rd_kafka_DeleteGroups(a.rk, &request, 1, a.options, a.queue);
    rd_kafka_DeleteGroup_destroy(request);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_group_result_t **groups = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(a.event), &count);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    bool deleted = !error || failed("%s", rd_kafka_error_string(error));
    end(&a, true);
    return deleted && (!listed(group) || failed("the group is still listed"));
}

bool admin_delete_records(const char *topic) {
    struct admin a;
    int64_t low, high;
    begin(&a, RD_KAFKA_ADMIN_OP_DELETERECORDS);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 7;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_DeleteRecords(a.rk, &request, 1, a.options, a.queue);
    rd_kafka_DeleteRecords_destroy(request);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_topic_partition_list_t *offsets =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(a.event));
    if (offsets->elems[0].err || offsets->elems[0].offset != 7)
        return end(&a, failed("%s, low watermark %ld", rd_kafka_err2str(offsets->elems[0].err), (long)offsets->elems[0].offset));
    rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(a.rk, topic, 0, &low, &high, DEADLINE_MS);
    return end(&a, (!err && low == 7) || failed("%s, low watermark %ld afterwards", rd_kafka_err2str(err), (long)low));
}

bool admin_delete_topic(const char *topic) {
    struct admin a;
    size_t count;
    begin(&a, RD_KAFKA_ADMIN_OP_DELETETOPICS);
    rd_kafka_DeleteTopic_t *request = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(a.rk, &request, 1, a.options, a.queue);
    rd_kafka_DeleteTopic_destroy(request);
    if (!answer(&a))
        return end(&a, false);
    const rd_kafka_topic_result_t **topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(a.event), &count);
    rd_kafka_resp_err_t err = rd_kafka_topic_result_error(topics[0]);
    return end(&a, !err || failed("%s", rd_kafka_err2str(err)));
}
