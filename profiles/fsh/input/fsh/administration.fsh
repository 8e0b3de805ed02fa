Profile: InfusionAdministration
Parent: MedicationAdministration
Id: infusion-administration
Title: "Infusion"
Description: "The whole of one infusion of an order in one visit: its status, its period and, once every part of it is known, the drug given in all. Its parts are infusion segments and boluses. Sum infusions or integrate segments, never both."
* insert Administered
* insert Tagged(infusion)
* partOf 0..0
* effective[x] 1..1
* dosage.rate[x] 0..0
* dosage.dose ^short = "The drug given in all, in mg, summed as exact fractions and rounded once to 0.001; absent while the infusion runs and where a part is not known"
* dosage.dose.value 1..1
* dosage.dose.system 1..1
* dosage.dose.system = "http://unitsofmeasure.org"
* dosage.dose.code 1..1
* status ^short = "Of the infusion as it stands after its last event: in-progress, on-hold (paused), completed, stopped (ended short of the order), not-done, entered-in-error, unknown"
* identifier[placer] MS
* identifier[filler] MS
* partOf ^short = "An infusion is the top: a reader who finds no partOf and the tag infusion has all of it"

Profile: InfusionSegment
Parent: MedicationAdministration
Id: infusion-segment
Title: "Infusion segment"
Description: "A part of an infusion that runs at one constant rate. A rate change ends a segment and begins the next; a pause is a gap that no segment covers. A segment never has a dose, so that nobody adds it to that of the infusion."
* insert Administered
* insert Tagged(infusion-segment)
* insert AdministrationNumber
* partOf 1..1
* partOf only Reference(InfusionAdministration)
* effective[x] only Period
* effectivePeriod.start 1..1
* effectivePeriod.end.extension contains DerivedEnd named derived-end 0..1
* dosage 1..1
* dosage.dose 0..0
* dosage.rate[x] 1..1
* dosage.rateRatio.numerator 1..1
* dosage.rateRatio.numerator.value 1..1
* dosage.rateRatio.denominator 1..1
* dosage.rateRatio.denominator.value 1..1
* dosage.rateRatio ^short = "Volume or drug (RXA-6 -7) per time (RXA-12), as told"
* extension contains SystemEntry named entry 0..1

Profile: InfusionBolus
Parent: MedicationAdministration
Id: infusion-bolus
Title: "Bolus"
Description: "A dose given at once or over a short time as part of an infusion, or alone under an order of its own (then the only part of its infusion). It has a dose and no rate."
* insert Administered
* insert Tagged(bolus)
* insert AdministrationNumber
* partOf 1..1
* partOf only Reference(InfusionAdministration)
* effective[x] 1..1
* dosage.rate[x] 0..0
* dosage.dose.value 1..1
* dosage.dose.system = "http://unitsofmeasure.org"
* extension contains SystemEntry named entry 0..1

Profile: InfusionWaste
Parent: MedicationAdministration
Id: infusion-waste
Title: "Waste"
Description: "Drug that was drawn up and thrown away under a witness. Not given to anybody: not-done, no dosage, part of nothing; no sum of given drug has it. The amounts are Observations part of the infusion, with the waste as focus."
* insert Administered
* insert Tagged(waste)
* identifier contains waste 1..1
* identifier[waste].type = $keta#waste
* identifier[waste].system 1..1
* identifier[waste].value 1..1
* status from InfusionWasteStatus (required)
* statusReason 1..1
* statusReason = $keta#wasted
* partOf 0..0
* dosage 0..0
* performer.function 1..1
* performer ^short = "Who threw it away (function performer) and who saw it (function witness)"

ValueSet: InfusionWasteStatus
Id: infusion-waste-status
Title: "Status of waste"
Description: "Waste was not given; or the record of it was wrong."
* insert Published
* http://terminology.hl7.org/CodeSystem/medication-admin-status#not-done
* http://terminology.hl7.org/CodeSystem/medication-admin-status#entered-in-error

Profile: InfusionWithdrawn
Parent: MedicationAdministration
Id: infusion-withdrawn
Title: "Withdrawn part"
Description: "A segment or bolus that an eMAR told and a pump told again: the pump's segment stands for it. It is part of no infusion and in no sum."
* insert Administered
* insert Tagged(withdrawn)
* insert AdministrationNumber
* partOf 0..0
* effective[x] 1..1
* extension contains SystemEntry named entry 0..1
