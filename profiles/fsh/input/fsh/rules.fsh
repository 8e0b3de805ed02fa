// Rules that several profiles share.

RuleSet: Published
* ^status = #active
* ^experimental = false

RuleSet: Preserved
* extension contains PreservedField named preserved 0..*

// The tag that says what part a MedicationAdministration has in an infusion.
RuleSet: Tagged(code)
* meta 1..1
* meta.tag 1..*
* meta.tag ^slicing.discriminator.type = #pattern
* meta.tag ^slicing.discriminator.path = "$this"
* meta.tag ^slicing.rules = #open
* meta.tag contains part 1..1
* meta.tag[part] = $keta#{code}

RuleSet: IdentifiersByType
* identifier ^slicing.discriminator.type = #pattern
* identifier ^slicing.discriminator.path = "type"
* identifier ^slicing.rules = #open

RuleSet: OrderNumbers
* identifier contains placer 0..1 and filler 0..1
* identifier[placer].type = $v2-0203#PLAC
* identifier[placer].system 1..1
* identifier[placer].value 1..1
* identifier[placer] ^short = "ORC-2"
* identifier[filler].type = $v2-0203#FILL
* identifier[filler].system 1..1
* identifier[filler].value 1..1
* identifier[filler] ^short = "ORC-3"

RuleSet: AdministrationNumber
* identifier contains number 0..1 and pump 0..1
* identifier[number].type = $keta#administration-number
* identifier[number].system 1..1
* identifier[number].value 1..1
* identifier[number] ^short = "RXA-1 and RXA-2, within the order"
* identifier[pump].type = $keta#pump-segment
* identifier[pump].value 1..1
* identifier[pump] ^short = "The channel of the pump and the start of its segment; a pump has no RXA-1 and RXA-2"

RuleSet: InfusionNumber
* identifier contains infusion 1..1
* identifier[infusion].type = $keta#infusion-number
* identifier[infusion].system 1..1
* identifier[infusion].value 1..1
* identifier[infusion] ^short = "RXA-1 and the visit, within the order: the parent has it, and each of its parts, since R4 cannot search by partOf"

// What every MedicationAdministration of ours has.
RuleSet: Administered
* insert Published
* insert Preserved
* insert IdentifiersByType
* insert OrderNumbers
* insert InfusionNumber
* insert KnownDrugs
* dosage.route from https://ketafhir.org/fhir/ValueSet/infusion-route (preferred)
* subject only Reference(Patient)
* context only Reference(Encounter)
* request 0..1
* request only Reference(MedicationRequest)
* request.identifier 1..1
* request.identifier.value 1..1
* request ^short = "The order by its number, wherever one was told (a pump may run without); beside it the literal reference once the order is known"

RuleSet: UcumUnits
* value 1..1
* system = "http://unitsofmeasure.org"
* code 1..1

// A hospital has codes of its own beside these: they are preferred and not asked for.
RuleSet: KnownDrugs
* medication[x] from https://ketafhir.org/fhir/ValueSet/infusion-drug (preferred)
