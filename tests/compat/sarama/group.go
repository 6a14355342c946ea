package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/Shopify/sarama"
)

// member is one consumer of a group, with what it has and what it received.
type member struct {
	sync.Mutex
	group    sarama.ConsumerGroup
	cancel   context.CancelFunc
	ended    chan struct{}
	assigned []int32
	records  []record
}

func newMember(group, topic string) (*member, error) {
	g, err := sarama.NewConsumerGroup(bootstrap, group, config())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{group: g, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{topic}, m); err != nil {
				sarama.Logger.Println("consume:", err)
			}
		}
	}()
	return m, nil
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.Lock()
	defer m.Unlock()
	m.assigned = nil
	for _, ids := range s.Claims() {
		m.assigned = append(m.assigned, ids...)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		m.Lock()
		m.records = append(m.records, received(message))
		m.Unlock()
		s.MarkMessage(message, "")
	}
	return nil
}

func (m *member) partitions() int {
	m.Lock()
	defer m.Unlock()
	return len(m.assigned)
}

func (m *member) from(index int) []record {
	m.Lock()
	defer m.Unlock()
	return append([]record(nil), m.records[index:]...)
}

func (m *member) stop() error {
	m.cancel()
	<-m.ended
	return m.group.Close()
}

// groupChecks: both members get a share; one leaves; the other has all; a third goes on from the commit.
func groupChecks(topic string) string {
	group := unique("group")
	seen := map[string]bool{}
	var one, two *member
	check("a group of two shares the partitions", func() (err error) {
		if one, err = newMember(group, topic); err != nil {
			return err
		}
		if two, err = newMember(group, topic); err != nil {
			return err
		}
		sent := records(count, "group")
		err = first(
			until("both members have two partitions", func() bool { return one.partitions() == 2 && two.partitions() == 2 }),
			produce(topic, sent, config()),
			until("all records of the group", func() bool { return len(one.from(0))+len(two.from(0)) >= count }))
		got := append(one.from(0), two.from(0)...)
		for _, r := range got {
			seen[fmt.Sprint(r.partition, "/", r.offset)] = true
		}
		return first(err, expect("distinct records", count, len(seen)), expect("digest", digest(sent), digest(got)))
	})
	check("the group rebalances when a member leaves", func() error {
		if one == nil || two == nil {
			return fmt.Errorf("there is no group")
		}
		more := records(100, "rebalance")
		err := first(two.stop(), until("the remaining member has all partitions", func() bool { return one.partitions() == partitions }))
		before := len(one.from(0))
		err = first(err, produce(topic, more, config()),
			until("the records after the rebalance", func() bool { return len(one.from(before)) >= len(more) }))
		for _, r := range one.from(before) {
			seen[fmt.Sprint(r.partition, "/", r.offset)] = true
		}
		return first(err, expect("digest", digest(more), digest(one.from(before))), one.stop())
	})
	check("a restart goes on from the commit", func() error {
		more := records(100, "restart")
		if err := produce(topic, more, config()); err != nil {
			return err
		}
		third, err := newMember(group, topic)
		if err != nil {
			return err
		}
		err = until("the records after the commit", func() bool { return len(third.from(0)) >= len(more) })
		err = first(err, third.stop(), expect("digest of what came after the commit", digest(more), digest(third.from(0))))
		for _, r := range third.from(0) {
			if seen[fmt.Sprint(r.partition, "/", r.offset)] {
				return fmt.Errorf("a record of partition %d was read twice", r.partition)
			}
		}
		return err
	})
	return group
}
