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
