"""The embedded FHIR server: a real HAPI FHIR JPA R4 server as a local process, built on first use."""
