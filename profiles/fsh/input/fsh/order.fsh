Profile: InfusionOrder
Parent: MedicationRequest
Id: infusion-order
Title: "Infusion order"
Description: "An order for an infusion, as ordered (RXO, intent original-order) or as the pharmacy has it (RXE, intent filler-order)."
* insert Published
* insert Preserved
* insert IdentifiersByType
* insert OrderNumbers
* identifier 1..*
* status.extension contains OrderControl named order-control 0..1 and OrderStatus named order-status 0..1
* insert KnownDrugs
* intent from InfusionOrderIntent (required)
* reasonCode from https://ketafhir.org/fhir/ValueSet/infusion-indication (preferred)
* dosageInstruction.route from https://ketafhir.org/fhir/ValueSet/infusion-route (preferred)
* subject only Reference(Patient)
* encounter only Reference(Encounter)
* dosageInstruction ..1
* dosageInstruction.timing.extension contains ServiceDuration named service-duration 0..1 and OccurrenceDuration named occurrence-duration 0..1
* dosageInstruction.doseAndRate ..1
* dosageInstruction.doseAndRate ^short = "Total dose, or dose per weight (RXE-3 -4 -5, RXO-2 -3 -4), and the rate to start with (RXE-23 -24, RXO-21 -22)"
* dosageInstruction.maxDosePerPeriod ^short = "The highest rate allowed (OBX rate-max)"
* dispenseRequest.quantity ^short = "What is dispensed; of a mixture its final volume"
* supportingInformation ^short = "Dosing weight and steps of the titration, as Observations"

ValueSet: InfusionOrderIntent
Id: infusion-order-intent
Title: "Intent of an infusion order"
Description: "Whose order it is."
* insert Published
* http://hl7.org/fhir/CodeSystem/medicationrequest-intent#original-order
* http://hl7.org/fhir/CodeSystem/medicationrequest-intent#filler-order
* http://hl7.org/fhir/CodeSystem/medicationrequest-intent#instance-order

Profile: InfusionMedication
Parent: Medication
Id: infusion-medication
Title: "Infusion medication"
Description: "What is in the bag or vial: the drug, the base and additives of a mixture (RXC), its concentration as told, lot, expiry and maker."
* insert Published
* insert Preserved
* extension contains Concentration named concentration 0..1
* code 1..1
* code from https://ketafhir.org/fhir/ValueSet/infusion-drug (preferred)
* ingredient.item[x] 1..1
* ingredient.isActive ^short = "RXC-1: an additive is active, a base is not"

Profile: InfusionDispense
Parent: MedicationDispense
Id: infusion-dispense
Title: "Dispense"
Description: "What the pharmacy dispensed for an order (RXD): a bag or vial with its lot. Dispensed is not given: no sum has it."
* insert Published
* insert Preserved
* insert KnownDrugs
* subject 1..1
* subject only Reference(Patient)
