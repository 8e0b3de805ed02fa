Profile: InfusionAdverseEvent
Parent: AdverseEvent
Id: infusion-adverse-event
Title: "Infusion adverse event"
Description: "An adverse event of an infusion. Severity, seriousness and outcome that follow from the CTCAE grade are marked derived; so is the infusion that ran at the time."
* insert Published
* insert Preserved
* extension contains PlacerNumber named placer-number 0..1 and FillerNumber named filler-number 0..1 and ReportCode named report-code 0..1 and ReportStart named report-start 0..1 and SubId named sub-id 0..1 and CtcaeGrade named ctcae-grade 0..1 and Transient named transient 0..1 and AdverseEventEnd named adverse-event-end 0..1 and ResultStatus named result-status 0..1 and RescueMedication named rescue-medication 0..1 and RescueAdministration named rescue-administration 0..1 and Note named note 0..*
* modifierExtension contains Withdrawn named withdrawn 0..1
* actuality = #actual
* event from https://ketafhir.org/fhir/ValueSet/infusion-adverse-event-term (preferred)
* subject only Reference(Patient)
* encounter only Reference(Encounter)
* suspectEntity ..1
* suspectEntity.instance only Reference(MedicationAdministration)
* suspectEntity.causality ..1
