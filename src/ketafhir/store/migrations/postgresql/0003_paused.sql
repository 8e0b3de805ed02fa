-- The destinations that an operator has stopped: nothing new goes there, and nothing is lost.
CREATE TABLE paused (
  destination TEXT NOT NULL PRIMARY KEY,
  reason TEXT NOT NULL,
  since DOUBLE PRECISION NOT NULL
);
