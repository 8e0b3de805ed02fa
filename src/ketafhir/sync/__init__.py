"""Makes a FHIR server equal to the store: client, outcome of an attempt, worker."""
