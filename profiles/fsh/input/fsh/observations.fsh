// Vital signs are derived from those of R4, so that whoever knows these knows ours.

RuleSet: Observed
* insert Published
* insert Preserved
* extension contains SubId named sub-id 0..1 and AnalysisTime named analysis-time 0..1
* status.extension contains V2Code named v2-code 0..1
* subject 1..1
* subject only Reference(Patient)
* encounter only Reference(Encounter)
* effective[x].extension contains Derived named derived 0..1

RuleSet: Measured
* value[x] only Quantity
* valueQuantity.value 1..1
* valueQuantity.system 1..1
* valueQuantity.system = "http://unitsofmeasure.org"
* valueQuantity.code 1..1

Profile: InfusionBloodPressure
Parent: http://hl7.org/fhir/StructureDefinition/bp
Id: infusion-blood-pressure
Title: "Blood pressure"
Description: "Systolic and diastolic of one reading, the mean where it was told. A half that nobody told has a dataAbsentReason."
* insert Observed
* component contains mean 0..1
* component[mean].code.coding ^slicing.discriminator[0].type = #value
* component[mean].code.coding ^slicing.discriminator[0].path = "code"
* component[mean].code.coding ^slicing.discriminator[1].type = #value
* component[mean].code.coding ^slicing.discriminator[1].path = "system"
* component[mean].code.coding ^slicing.rules = #open
* component[mean].code.coding contains MeanCode 1..1
* component[mean].code.coding[MeanCode].system 1..1
* component[mean].code.coding[MeanCode].system = "http://loinc.org" (exactly)
* component[mean].code.coding[MeanCode].code 1..1
* component[mean].code.coding[MeanCode].code = #8478-0 (exactly)
* component[mean].value[x] only Quantity
* component[mean].valueQuantity.system = "http://unitsofmeasure.org"
* component[mean].valueQuantity.code = #mm[Hg]
* component.extension contains Derived named derived 0..1 and Note named note 0..* and PreservedField named preserved 0..*

Profile: InfusionHeartRate
Parent: http://hl7.org/fhir/StructureDefinition/heartrate
Id: infusion-heart-rate
Title: "Heart rate"
Description: "Heart rate, per minute."
* insert Observed

Profile: InfusionRespiratoryRate
Parent: http://hl7.org/fhir/StructureDefinition/resprate
Id: infusion-respiratory-rate
Title: "Respiratory rate"
Description: "Breaths per minute."
* insert Observed

Profile: InfusionOxygenSaturation
Parent: http://hl7.org/fhir/StructureDefinition/oxygensat
Id: infusion-oxygen-saturation
Title: "Oxygen saturation"
Description: "SpO2 with both codes in use, 2708-6 and 59408-5; the one that was not sent is marked derived."
* insert Observed
* code.coding.extension contains Derived named derived 0..1

Profile: InfusionBodyTemperature
Parent: http://hl7.org/fhir/StructureDefinition/bodytemp
Id: infusion-body-temperature
Title: "Body temperature"
Description: "Body temperature, Cel or [degF] as told."
* insert Observed

Profile: InfusionBodyWeight
Parent: http://hl7.org/fhir/StructureDefinition/bodyweight
Id: infusion-body-weight
Title: "Body weight"
Description: "Body weight, kg, g or [lb_av] as told; that of an order is its dosing weight."
* insert Observed

Profile: InfusionBodyHeight
Parent: http://hl7.org/fhir/StructureDefinition/bodyheight
Id: infusion-body-height
Title: "Body height"
Description: "Body height, cm or [in_i] as told."
* insert Observed

Profile: InfusionMeanPressure
Parent: Observation
Id: infusion-mean-pressure
Title: "Mean arterial pressure"
Description: "A mean pressure told alone; R4 has no profile for it."
* insert Observed
* insert Measured
* code from https://ketafhir.org/fhir/ValueSet/infusion-mean-pressure-code (extensible)
* valueQuantity.code = #mm[Hg]

Profile: InfusionEndTidalCO2
Parent: Observation
Id: infusion-end-tidal-co2
Title: "End-tidal carbon dioxide"
Description: "Partial pressure at the end of expiration; not an R4 vital sign."
* insert Observed
* insert Measured
* code from https://ketafhir.org/fhir/ValueSet/infusion-end-tidal-co2-code (extensible)

Profile: InfusionPain
Parent: Observation
Id: infusion-pain
Title: "Pain"
Description: "A pain score, 0 to 10."
* insert Observed
* code from https://ketafhir.org/fhir/ValueSet/infusion-pain-code (extensible)
* category 1..*

Profile: InfusionSedation
Parent: Observation
Id: infusion-sedation
Title: "Sedation"
Description: "A sedation score: RASS, MOAA/S, POSS or Ramsay."
* insert Observed
* code from https://ketafhir.org/fhir/ValueSet/infusion-sedation-code (extensible)

Profile: InfusionDissociation
Parent: Observation
Id: infusion-dissociation
Title: "Dissociation"
Description: "The dissociation score (CADSS total) during or after an infusion."
* insert Observed
* code from https://ketafhir.org/fhir/ValueSet/infusion-dissociation-code (required)

Profile: InfusionDeliveredVolume
Parent: Observation
Id: infusion-delivered-volume
Title: "Delivered volume or amount"
Description: "What a pump or a nurse told as delivered: of a segment (partOf it), or since a counter began (partOf the infusion). Told, and added to nothing."
* insert Observed
* insert Measured
* code from https://ketafhir.org/fhir/ValueSet/infusion-delivered-code (extensible)
* partOf only Reference(MedicationAdministration)

Profile: InfusionObservation
Parent: Observation
Id: infusion-observation
Title: "Other observation"
Description: "What is of no kind that has a profile of its own, or is not told as its kind wants it (a unit that does not fit, no time): kept as sent."
* insert Observed

Profile: InfusionWasteAmount
Parent: Observation
Id: infusion-waste-amount
Title: "Wasted amount or volume"
Description: "How much was thrown away: part of the infusion, about the waste."
* insert Published
* insert Measured
* code from https://ketafhir.org/fhir/ValueSet/infusion-waste-code (required)
* status from InfusionWasteAmountStatus (required)
* subject 1..1

ValueSet: InfusionWasteAmountStatus
Id: infusion-waste-amount-status
Title: "Status of a wasted amount"
Description: "Told, or withdrawn."
* insert Published
* http://hl7.org/fhir/observation-status#final
* http://hl7.org/fhir/observation-status#entered-in-error

Profile: InfusionReport
Parent: DiagnosticReport
Id: infusion-report
Title: "Report"
Description: "An OBR and the observations under it."
* insert Published
* insert Preserved
* extension contains Note named note 0..* and Container named container 0..*
* subject 1..1
* subject only Reference(Patient)
* result only Reference(Observation)
