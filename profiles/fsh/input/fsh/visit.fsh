Profile: InfusionEncounter
Parent: Encounter
Id: infusion-encounter
Title: "Infusion visit"
Description: "The visit an infusion belongs to, by its visit number (PV1-19). Others may own it as well: it is always addressed by that number."
* insert Published
* insert Preserved
* insert IdentifiersByType
* identifier contains visit 1..1
* identifier[visit].type = $v2-0203#VN
* identifier[visit].system 1..1
* identifier[visit].value 1..1
* subject 1..1
* subject only Reference(Patient)

Profile: InfusionPatient
Parent: Patient
Id: infusion-patient
Title: "Patient"
Description: "The patient, by a number with its authority. Others may own it as well: it is always addressed by that number."
* insert Published
* insert Preserved
* extension contains Note named note 0..*
* identifier 1..*
* identifier.value 1..1

Profile: InfusionPractitioner
Parent: Practitioner
Id: infusion-practitioner
Title: "Practitioner"
Description: "A member of staff, by number and authority; made where missing and never changed."
* insert Published
* identifier 1..*
* identifier.system 1..1
* identifier.value 1..1

Profile: InfusionLocation
Parent: Location
Id: infusion-location
Title: "Location"
Description: "A unit, room and bed, by number; made where missing and never changed."
* insert Published
* identifier 1..*
* identifier.value 1..1
* name 1..1

Profile: InfusionPump
Parent: Device
Id: infusion-pump
Title: "Device"
Description: "A pump, gateway or monitor, by its number."
* insert Published
* insert Preserved
* extension contains SubId named sub-id 0..1
* identifier 1..*
* identifier.value 1..1

Profile: InfusionAllergy
Parent: AllergyIntolerance
Id: infusion-allergy
Title: "Allergy"
Description: "What the patient is allergic to (AL1). A former one stays, inactive."
* insert Published
* insert Preserved
* extension contains AllergenType named allergen-type 0..1
* clinicalStatus 1..1
* patient only Reference(Patient)

Profile: InfusionDiagnosis
Parent: Condition
Id: infusion-diagnosis
Title: "Diagnosis"
Description: "A diagnosis of a visit or a patient (DG1). A former one stays, inactive; a deleted one is entered-in-error."
* insert Published
* insert Preserved
* subject only Reference(Patient)

Profile: InfusionDevicePart
Parent: Device
Id: infusion-device-part
Title: "Part of a device"
Description: "A part of a device that holds others (VMD, channel, source of a pump), in the part that parent names."
* insert Published
* insert Preserved
* extension contains SubId named sub-id 0..1
* parent 1..1

Profile: InfusionMetric
Parent: DeviceMetric
Id: infusion-metric
Title: "Metric of a device"
Description: "What a device tells in one place of its containment."
* insert Published
* source 1..1
* parent 1..1
