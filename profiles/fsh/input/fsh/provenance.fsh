Profile: MessageProvenance
Parent: Provenance
Id: message-provenance
Title: "Provenance of a message"
Description: "One for each HL7v2 message: all that it wrote, its sender and control ID, the version of the mapping tables and the site overlay that read it. So all that a faulty row ever wrote can be found."
* insert Published
* insert Preserved
* extension contains EventRecorded named event-recorded 0..1
* recorded ^short = "MSH-7"
* activity.text 1..1
* activity ^short = "MSH-9 of the message"
* entity 1..1
* entity.role = #source
* entity.what.identifier.value 1..1
* entity ^short = "MSH-10 of the message"
* agent ^slicing.discriminator.type = #pattern
* agent ^slicing.discriminator.path = "type"
* agent ^slicing.rules = #open
* agent contains sender 1..1 and translator 1..1
* agent[sender].type = $agent#author
* agent[sender] ^short = "Application and facility that sent the message"
* agent[translator].type = $agent#assembler
* agent[translator] ^short = "ketafhir, with the digest of its tables and the name of the site overlay"
