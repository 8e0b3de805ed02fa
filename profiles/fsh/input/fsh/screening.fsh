Profile: ScreeningResponse
Parent: QuestionnaireResponse
Id: screening-response
Title: "Screening response"
Description: "The answers to a screening form, as sent. An answer that the form does not have is kept."
* insert Published
* insert Preserved
* extension contains PlacerNumber named placer-number 0..1 and ReportCode named report-code 0..1 and ReportStart named report-start 0..1 and Note named note 0..*
* questionnaire ^short = "The form, where every question and answer is one of it"
* subject 1..1
* subject only Reference(Patient)
* item.item 0..0
* item.answer ..1
* item.extension contains ItemCode named item-code 0..1 and SubId named sub-id 0..1 and AnalysisTime named analysis-time 0..1 and Note named note 0..* and Derived named derived 0..1 and PreservedField named preserved 0..*

Profile: ScreeningScore
Parent: Observation
Id: screening-score
Title: "Screening score"
Description: "The total of a form, or the risk level of a screener: as told, or worked out from a complete form (then tagged derived). Band and flags are components marked derived."
* insert Observed
* code from https://ketafhir.org/fhir/ValueSet/screening-score-code (extensible)
* derivedFrom only Reference(ScreeningResponse)
* component.extension contains Derived named derived 0..1
* interpretation.extension contains Derived named derived 0..1

Profile: CandidacyDecision
Parent: ClinicalImpression
Id: candidacy-decision
Title: "Candidacy decision"
Description: "Whether a person is a candidate for ketamine: the decision is the first finding, each rule a further one with its basis."
* insert Published
* code 1..1
* code = $keta#candidacy-decision
* subject only Reference(Patient)
* finding 1..*
* finding.itemCodeableConcept 1..1
* finding.extension contains ItemCode named item-code 0..1 and SubId named sub-id 0..1 and AnalysisTime named analysis-time 0..1 and Note named note 0..* and PreservedField named preserved 0..*
