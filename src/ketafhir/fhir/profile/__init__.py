"""A fast check of FHIR resources against profiles: no FHIRPath engine, no terminology server, no network."""
