-- Version 2: the replicas with which a partition's reassignment is to end, while one is under way.
ALTER TABLE arus_partition_state ADD COLUMN target integer[] NOT NULL DEFAULT '{}';
