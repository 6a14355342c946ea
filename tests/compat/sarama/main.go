// sarama against a broker: bootstrap address as the only argument. One line a check.
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/Shopify/sarama"
)

const (
	deadline   = 40 * time.Second
	count      = 400
	partitions = 4
)

var (
	bootstrap []string
	admin     sarama.ClusterAdmin
	names     int
)

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "compat"
	c.Version = sarama.V2_1_0_0
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.Session.Timeout = 10 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	c.Metadata.RefreshFrequency = 5 * time.Second
	return c
}

func unique(name string) string {
	names++
	return fmt.Sprintf("compat-%s-%d-%d-%d", name, os.Getpid(), time.Now().Unix(), names)
}

func check(name string, action func() error) {
	if err := action(); err != nil {
		text := strings.Join(strings.Fields(err.Error()), " ")
		fmt.Printf("not ok %s: %s\n", name, text)
		return
	}
	fmt.Printf("ok %s\n", name)
}

func until(what string, condition func() bool) error {
	for end := time.Now().Add(deadline); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %s", deadline, what)
		}
	}
	return nil
}

func expect(what string, expected, actual interface{}) error {
	if expected != actual {
		return fmt.Errorf("%s: expected %v, got %v", what, expected, actual)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// record is what counts of a message: some have no key, some no headers; some compress well, some do not.
type record struct {
	key, value []byte
	headers    []sarama.RecordHeader
	partition  int32
	offset     int64
}

func records(n int, seed string) []record {
	var all []record
	for i := 0; i < n; i++ {
		noise := sha512.Sum512([]byte(fmt.Sprintf("%s/%d", seed, i)))
		r := record{value: bytes.Repeat([]byte(fmt.Sprintf("value %d ", i)), int(noise[1])%40)}
		if i%3 == 0 {
			r.value = bytes.Repeat(noise[:], 40)[:int(noise[0])*10]
		}
		if i%7 != 0 {
			r.key = []byte(fmt.Sprintf("key-%d", i%50))
		}
		if i%4 != 0 {
			r.headers = []sarama.RecordHeader{
				{Key: []byte("index"), Value: []byte(fmt.Sprint(i))}, {Key: []byte("seed"), Value: []byte(seed)}}
		}
		all = append(all, r)
	}
	return all
}

func digest(all []record) string {
	var each []string
	for _, r := range all {
		h := sha256.New()
		fmt.Fprintf(h, "%v:%d:%s%d:%s", r.key == nil, len(r.key), r.key, len(r.value), r.value)
		for _, header := range r.headers {
			fmt.Fprintf(h, "%d:%s%d:%s", len(header.Key), header.Key, len(header.Value), header.Value)
		}
		each = append(each, hex.EncodeToString(h.Sum(nil)))
	}
	sort.Strings(each)
	sum := sha256.Sum256([]byte(strings.Join(each, "")))
	return hex.EncodeToString(sum[:8])
}

func received(m *sarama.ConsumerMessage) record {
	r := record{key: m.Key, value: m.Value, partition: m.Partition, offset: m.Offset}
	for _, h := range m.Headers {
		r.headers = append(r.headers, *h)
	}
	return r
}

func partitionCount(topic string) int {
	found, err := admin.DescribeTopics([]string{topic})
	if err != nil || len(found) != 1 || found[0].Err != sarama.ErrNoError {
		return -1
	}
	return len(found[0].Partitions)
}

func createTopic(topic string, n int32) error {
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: n, ReplicationFactor: 1}, false); err != nil {
		return err
	}
	return until("the new topic in the metadata", func() bool { return partitionCount(topic) == int(n) })
}

func produce(topic string, all []record, c *sarama.Config) error {
	producer, err := sarama.NewSyncProducer(bootstrap, c)
	if err != nil {
		return err
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for _, r := range all {
		m := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(r.value), Headers: r.headers}
		if r.key != nil {
			m.Key = sarama.ByteEncoder(r.key)
		}
		messages = append(messages, m)
	}
	return producer.SendMessages(messages)
}

func readAll(topic string, n int) ([]record, error) {
	consumer, err := sarama.NewConsumer(bootstrap, config())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	ids, err := consumer.Partitions(topic)
	if err != nil {
		return nil, err
	}
	messages := make(chan *sarama.ConsumerMessage)
	stop := make(chan struct{})
	defer close(stop)
	for _, id := range ids {
		p, err := consumer.ConsumePartition(topic, id, sarama.OffsetOldest)
		if err != nil {
			return nil, err
		}
		defer p.AsyncClose()
		go func() {
			for m := range p.Messages() {
				select {
				case messages <- m:
				case <-stop:
					return
				}
			}
		}()
	}
	var all []record
	timeout := time.After(deadline)
	for len(all) < n {
		select {
		case m := <-messages:
			all = append(all, received(m))
		case <-timeout:
			return nil, fmt.Errorf("%d of %d records within %v", len(all), n, deadline)
		}
	}
	return all, nil
}

func codec(name string, codec sarama.CompressionCodec) error {
	topic := unique(name)
	c := config()
	c.Producer.Compression = codec
	sent := records(count, name)
	if err := first(createTopic(topic, partitions), produce(topic, sent, c)); err != nil {
		return err
	}
	got, err := readAll(topic, len(sent))
	return first(err, expect("digest", digest(sent), digest(got)))
}

func idempotent() error {
	topic := unique("idempotent")
	c := config()
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // sarama refuses more with Idempotent
	c.Producer.Flush.MaxMessages = 50
	var sent []record
	for i := 0; i < 5000; i++ {
		sent = append(sent, record{value: []byte(fmt.Sprint(i))})
	}
	if err := first(createTopic(topic, 1), produce(topic, sent, c)); err != nil {
		return err
	}
	got, err := readAll(topic, len(sent))
	if err != nil {
		return err
	}
	for i := range got {
		if string(got[i].value) != fmt.Sprint(i) || got[i].offset != int64(i) {
			return fmt.Errorf("record %d is %s at offset %d", i, got[i].value, got[i].offset)
		}
	}
	return nil
}

func offsets() error {
	topic := unique("offsets")
	base := time.Unix(1600000000, 0)
	if err := createTopic(topic, 1); err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(bootstrap, config())
	if err != nil {
		return err
	}
	defer producer.Close()
	for i := 0; i < 50; i++ {
		m := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("x"), Timestamp: base.Add(time.Duration(i) * time.Second)}
		if _, _, err := producer.SendMessage(m); err != nil {
			return err
		}
	}
	client, err := sarama.NewClient(bootstrap, config())
	if err != nil {
		return err
	}
	defer client.Close()
	oldest, err1 := client.GetOffset(topic, 0, sarama.OffsetOldest)
	newest, err2 := client.GetOffset(topic, 0, sarama.OffsetNewest)
	timed, err3 := client.GetOffset(topic, 0, base.Unix()*1000+41500)
	return first(err1, err2, err3, expect("offsets", [3]int64{0, 50, 42}, [3]int64{oldest, newest, timed}))
}

func main() {
	log.SetOutput(os.Stderr)
	sarama.Logger = log.New(os.Stderr, "sarama ", log.LstdFlags)
	bootstrap = []string{os.Args[1]}
	var err error
	if admin, err = sarama.NewClusterAdmin(bootstrap, config()); err != nil {
		fmt.Printf("not ok connect: %v\n", err)
		os.Exit(1)
	}
	topic := unique("sarama")
	check("create topic", func() error { return createTopic(topic, partitions) })
	check("create topic that exists is refused", func() error {
		var refused *sarama.TopicError
		if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); errors.As(err, &refused) {
			return expect("error", sarama.ErrTopicAlreadyExists, refused.Err)
		}
		return errors.New("a topic was created twice")
	})
	check("same bytes out as in: none", func() error { return codec("none", sarama.CompressionNone) })
	check("same bytes out as in: gzip", func() error { return codec("gzip", sarama.CompressionGZIP) })
	check("same bytes out as in: snappy", func() error { return codec("snappy", sarama.CompressionSnappy) })
	check("same bytes out as in: lz4", func() error { return codec("lz4", sarama.CompressionLZ4) })
	// Produce 3, which this sarama sends, has no zstd.
	check("zstd in an old produce request is refused, as by Kafka", func() error {
		var refused sarama.ProducerErrors
		if err := codec("zstd", sarama.CompressionZSTD); !errors.As(err, &refused) {
			return fmt.Errorf("it was not refused: %v", err)
		}
		return expect("error", sarama.ErrUnsupportedCompressionType, refused[0].Err)
	})
	group := groupChecks(topic)
	check("idempotent producer keeps order", idempotent)
	check("offsets by time, beginning and end", offsets)
	adminChecks(topic, group)
	fmt.Println("done")
}
