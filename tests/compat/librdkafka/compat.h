/* Shared by the parts of the librdkafka program. */
#pragma once
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

#define DEADLINE_MS 40000
#define RECORDS 400
#define PARTITIONS 4

extern const char *bootstrap;

/* Remembers why a check fails; always false. */
bool failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
long now_ms(void);
void unique(char *name, size_t size, const char *prefix);
rd_kafka_t *client(rd_kafka_type_t type, const char **config);
bool create_topic(const char *topic, int partitions);
bool produce(const char *topic, int partition, int first, int count, const char **config);

bool admin_create_twice(const char *topic);
bool admin_configs(const char *topic);
bool admin_partitions(const char *topic);
bool admin_groups(const char *group, const char *topic, long committed);
bool admin_reset_offsets(const char *group, const char *topic);
bool admin_delete_offsets(const char *group, const char *topic);
bool admin_delete_group(const char *group);
bool admin_delete_records(const char *topic);
bool admin_delete_topic(const char *topic);
