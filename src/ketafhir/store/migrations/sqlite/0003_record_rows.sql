-- A body is some kilobytes: in the tree of a key such rows are moved about whenever a page is split.
CREATE TABLE record_by_row (
  part_key TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  body BLOB NOT NULL
);
INSERT INTO record_by_row (part_key, version, body) SELECT part_key, version, body FROM record;
DROP TABLE record;
ALTER TABLE record_by_row RENAME TO record;
