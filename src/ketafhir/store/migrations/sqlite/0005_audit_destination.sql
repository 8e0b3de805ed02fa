-- Which destination an operator has paused, resumed or sent to again.
ALTER TABLE audit ADD COLUMN destination TEXT;
