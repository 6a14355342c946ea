package main

import (
	"errors"
	"fmt"

	"github.com/Shopify/sarama"
)

func adminChecks(topic, group string) {
	check("admin: list and describe groups and their offsets", func() error { return groups(topic, group) })
	check("admin: configs", func() error { return configs(topic) })
	check("admin: cluster", func() error {
		brokers, _, err := admin.DescribeCluster()
		if err == nil && len(brokers) == 0 {
			err = errors.New("no brokers")
		}
		return err
	})
	check("admin: add partitions", func() error {
		return first(
			admin.CreatePartitions(topic, partitions+2, nil, false),
			until("the new partitions", func() bool { return partitionCount(topic) == partitions+2 }))
	})
	check("admin: delete records", func() error {
		if err := admin.DeleteRecords(topic, map[int32]int64{0: 5}); err != nil {
			return err
		}
		client, err := sarama.NewClient(bootstrap, config())
		if err != nil {
			return err
		}
		defer client.Close()
		oldest, err := client.GetOffset(topic, 0, sarama.OffsetOldest)
		return first(err, expect("oldest offset", int64(5), oldest))
	})
	check("admin: delete topic", func() error {
		return first(admin.DeleteTopic(topic), until("the topic is gone", func() bool {
			topics, err := admin.ListTopics()
			_, found := topics[topic]
			return err == nil && !found
		}))
	})
}

func groups(topic, group string) error {
	if err := until("the group in the list", func() bool {
		all, err := admin.ListConsumerGroups()
		_, found := all[group]
		return err == nil && found
	}); err != nil {
		return err
	}
	described, err := admin.DescribeConsumerGroups([]string{group})
	if err != nil || len(described) != 1 {
		return fmt.Errorf("%d groups described, %v", len(described), err)
	}
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2, 3}})
	if err != nil {
		return err
	}
	var sum int64
	for p := int32(0); p < partitions; p++ {
		sum += offsets.GetBlock(topic, p).Offset
	}
	return first(expect("state", "Empty", described[0].State), expect("sum of the commits", int64(count+200), sum))
}

func configs(topic string) error {
	value := "123456"
	if err := admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &value}, false); err != nil {
		return err
	}
	return until("the changed config", func() bool {
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
		for _, e := range entries {
			if e.Name == "retention.ms" {
				return e.Value == value
			}
		}
		_ = err
		return false
	})
}
