"""What the Python clients share: test data, its digest, and checks that print one line each."""
import hashlib
import os
import sys
import threading
import time
import traceback

DEADLINE = 40.0
RECORDS = 400
PARTITIONS = 4


class Record:
    def __init__(self, key, value, headers):
        self.key, self.value, self.headers = key, value, headers

    def digest(self):
        h = hashlib.sha256()
        for part in (self.key, self.value):
            h.update(b"-" if part is None else b"%d:" % len(part) + part)
        for name, value in self.headers:
            h.update(b"%d:" % len(name) + name.encode())
            h.update(b"-" if value is None else b"%d:" % len(value) + value)
        return h.digest()


def records(count, seed):
    """The same records for the same seed: with and without keys, values and headers; some compress well, some do not."""
    result = []
    for i in range(count):
        noise = hashlib.sha512(b"%s/%d" % (seed.encode(), i)).digest()
        value = (noise * 40)[: noise[0] * 10] if i % 3 == 0 else (b"value %d " % i) * (noise[1] % 40)
        key = None if i % 7 == 0 else b"key-%d" % (i % 50)
        headers = [] if i % 4 == 0 else [("index", b"%d" % i), ("seed", seed.encode()), ("empty", b"")]
        result.append(Record(key, None if i % 97 == 50 and key else value, headers))
    return result


def digest(items):
    """Of a set of records, whatever their order."""
    h = hashlib.sha256()
    for d in sorted(item.digest() for item in items):
        h.update(d)
    return h.hexdigest()


def unique(name):
    return "compat-%s-%d-%d" % (name, os.getpid(), time.time_ns() // 1000)


def equal(expected, actual, what):
    if expected != actual:
        raise AssertionError("%s: expected %r, got %r" % (what, expected, actual))


def until(condition, what, deadline=DEADLINE, step=None):
    """Asks again until it is so; `step` is what to do meanwhile and may block for a moment."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (deadline, what))
        step() if step else time.sleep(0.05)


def check(name, action, *arguments):
    try:
        value = action(*arguments)
        print("ok %s" % name, flush=True)
        return value
    except Exception as e:  # a failed check must not hide the others
        text = " ".join(str(e).split())[:300]
        print("not ok %s: %s: %s" % (name, type(e).__name__, text), flush=True)
        traceback.print_exc(file=sys.stderr)
        return None


def skip(name, reason):
    print("skip %s: %s" % (name, reason), flush=True)


class Member(threading.Thread):
    """A group member in a thread of its own. `poll` returns (partition, offset, Record) triples and may block for a moment."""

    def __init__(self, open_consumer):
        super().__init__(daemon=True)
        self.open_consumer = open_consumer
        self.received = []
        self.assigned = set()
        self.stopping = threading.Event()
        self.closed = threading.Event()
        self.error = None
        self.start()

    def run(self):
        consumer = None
        try:
            consumer = self.open_consumer()
            while not self.stopping.is_set():
                self.received.extend(consumer.poll())
                self.assigned = consumer.assigned()
            consumer.commit()
        except Exception as e:
            self.error = e
            traceback.print_exc(file=sys.stderr)
        finally:
            if consumer:
                consumer.close()
            self.closed.set()

    def stop(self):
        self.stopping.set()
        if not self.closed.wait(DEADLINE):
            raise AssertionError("the consumer did not close")
        if self.error:
            raise self.error


def group_checks(topic, produce, member):
    """A group of two over `topic`: both get a share; one leaves; the other has all; a third goes on from the commit."""
    group = unique("group")
    first, second = member(group, topic), member(group, topic)
    state = {}

    def share():
        sent = records(RECORDS, "group")
        produce(topic, sent)
        until(lambda: first.assigned and second.assigned
              and not first.assigned & second.assigned
              and len(first.assigned | second.assigned) == PARTITIONS, "both members have a share")
        until(lambda: len(first.received) + len(second.received) >= len(sent), "all records of the group")
        got = first.received + second.received
        equal(len(sent), len(set((p, o) for p, o, _ in got)), "distinct records")
        equal(digest(sent), digest([r for _, _, r in dict(((p, o), (p, o, r)) for p, o, r in got).values()]), "digest")
        state["offsets"] = set((p, o) for p, o, _ in got)

    def rebalance():
        second.stop()
        until(lambda: len(first.assigned) == PARTITIONS, "the remaining member has all partitions")
        more = records(100, "rebalance")
        before = len(first.received)
        produce(topic, more)
        until(lambda: len(first.received) - before >= len(more), "the records after the rebalance")
        equal(digest(more), digest([r for _, _, r in first.received[before:]]), "digest")
        state["offsets"] |= set((p, o) for p, o, _ in first.received[before:])
        first.stop()

    def restart():
        more = records(100, "restart")
        produce(topic, more)
        third = member(group, topic)
        until(lambda: len(third.received) >= len(more), "the records after the commit")
        third.stop()
        equal(digest(more), digest([r for _, _, r in third.received]), "digest of what came after the commit")
        equal(set(), set((p, o) for p, o, _ in third.received) & state["offsets"], "records read twice")

    check("a group of two shares the partitions", share)
    check("the group rebalances when a member leaves", rebalance)
    check("a restart goes on from the commit", restart)
    return group
