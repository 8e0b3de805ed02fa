// Every extension that ketafhir writes. Each says where it stands, and what would be lost without it.

Extension: PreservedField
Id: preserved-field
Title: "Preserved field"
Description: "A field of an HL7v2 segment that no row of the mapping tables maps: its place and its text as sent. It goes back to that place."
Context: Element
* extension contains place 1..1 and value 0..1
* extension[place].value[x] only string
* extension[place] ^short = "Segment and field, such as RXA-23 or OBX-5.10"
* extension[value].value[x] only string
* extension[value] ^short = "The text as sent, escapes and all; absent where only the place was told"

Extension: V2Dtm
Id: v2-dtm
Title: "HL7v2 time as sent"
Description: "The text of an HL7v2 DTM that a FHIR time cannot say (minutes without seconds, no offset). It is used on the way back while it means the same instant."
Context: Element
* value[x] 1..1
* value[x] only string

Extension: V2Code
Id: v2-code
Title: "HL7v2 code"
Description: "The exact code of an HL7v2 table, where several share the FHIR code it stands beside."
Context: Element
* value[x] 1..1
* value[x] only code

Extension: OrderControl
Id: order-control
Title: "Order control"
Description: "ORC-1, where the status of the request does not say it (HL7 table 0119)."
Context: MedicationRequest.status
* value[x] 1..1
* value[x] only code

Extension: OrderStatus
Id: order-status
Title: "Order status"
Description: "ORC-5, where the status of the request does not say it (HL7 table 0038)."
Context: MedicationRequest.status
* value[x] 1..1
* value[x] only code

Extension: Derived
Id: derived
Title: "Derived"
Description: "The element it stands in was worked out by ketafhir and told by nobody. It is never sent back to HL7v2."
Context: Element
* value[x] 1..1
* value[x] only boolean or dateTime

Extension: DerivedEnd
Id: derived-end
Title: "Derived end"
Description: "The end of this period is the start of the next event of the infusion. It is never sent back as RXA-4."
Context: Period.end
* value[x] 1..1
* value[x] only boolean

Extension: Concentration
Id: concentration
Title: "Concentration"
Description: "Amount of drug per volume of the mixture (RXA-13 -14, RXE-25 -26), as told and never worked out from ingredients."
Context: Medication
* value[x] 1..1
* value[x] only Ratio

Extension: SystemEntry
Id: system-entry
Title: "Time of entry"
Description: "When the administration was entered into the sending system (RXA-22)."
Context: MedicationAdministration
* value[x] 1..1
* value[x] only dateTime

Extension: ServiceDuration
Id: service-duration
Title: "Service duration"
Description: "How long the service goes on (TQ1-6)."
Context: Timing
* value[x] 1..1
* value[x] only Duration

Extension: OccurrenceDuration
Id: occurrence-duration
Title: "Occurrence duration"
Description: "How long each occurrence lasts (TQ1-13)."
Context: Timing
* value[x] 1..1
* value[x] only Duration

Extension: SubId
Id: sub-id
Title: "Observation sub-ID"
Description: "OBX-4: what ties the results of one reading together."
Context: Observation, QuestionnaireResponse.item, ClinicalImpression.finding, Device, AdverseEvent
* value[x] 1..1
* value[x] only string

Extension: AnalysisTime
Id: analysis-time
Title: "Time of the analysis"
Description: "When the result was worked out (OBX-19)."
Context: Observation, QuestionnaireResponse.item, ClinicalImpression.finding
* value[x] 1..1
* value[x] only dateTime

Extension: ItemCode
Id: item-code
Title: "Code of an item"
Description: "The code that an answer or a finding was told under (OBX-3)."
Context: QuestionnaireResponse.item, ClinicalImpression.finding
* value[x] 1..1
* value[x] only CodeableConcept

Extension: PlacerNumber
Id: placer-number
Title: "Placer number"
Description: "The placer number of a screening form or of adverse events (OBR-2)."
Context: QuestionnaireResponse, AdverseEvent
* value[x] 1..1
* value[x] only Identifier

Extension: ReportCode
Id: report-code
Title: "Code of the report"
Description: "The code that a screening form or an adverse event was told under (OBR-4)."
Context: QuestionnaireResponse, AdverseEvent
* value[x] 1..1
* value[x] only CodeableConcept

Extension: ReportStart
Id: report-start
Title: "Start of the report"
Description: "OBR-7 of a screening form, where the time of its answers differs, or of adverse events."
Context: QuestionnaireResponse, AdverseEvent
* value[x] 1..1
* value[x] only dateTime

Extension: EventRecorded
Id: event-recorded
Title: "Event recorded"
Description: "When the event was recorded (EVN-2)."
Context: Provenance
* value[x] 1..1
* value[x] only dateTime

Extension: Note
Id: note
Title: "Note"
Description: "NTE-3 of a resource that has no note of its own in R4."
Context: DiagnosticReport, QuestionnaireResponse, QuestionnaireResponse.item, ClinicalImpression, ClinicalImpression.finding, Patient, Observation.component, AdverseEvent
* value[x] 1..1
* value[x] only string

Extension: MarAction
Id: mar-action
Title: "Action of the eMAR"
Description: "What the eMAR called the event that an administration comes from (New Bag, Rate Change, ...): our code for it, and its own word."
Context: MedicationAdministration
* value[x] 1..1
* value[x] only CodeableConcept

Extension: AllergenType
Id: allergen-type
Title: "Type of the allergen"
Description: "The allergen type as told (AL1-2, HL7 table 0127), which category says only in part."
Context: AllergyIntolerance
* value[x] 1..1
* value[x] only CodeableConcept

Extension: Container
Id: container
Title: "Part of a device"
Description: "A part of the device that a report tells of (MDS, VMD, channel), in the order told."
Context: DiagnosticReport
* value[x] 1..1
* value[x] only Reference(Device)

Extension: FillerNumber
Id: filler-number
Title: "Filler number"
Description: "The filler number that adverse events were told under (OBR-3): several may share it."
Context: AdverseEvent
* value[x] 1..1
* value[x] only Identifier

Extension: CtcaeGrade
Id: ctcae-grade
Title: "CTCAE grade"
Description: "The grade of an adverse event by CTCAE, 1 to 5: severity has no place for 4 and 5."
Context: AdverseEvent
* value[x] 1..1
* value[x] only positiveInt

Extension: Transient
Id: transient
Title: "Transient"
Description: "Whether the adverse event was transient: a rise of the blood pressure may have grade 3 and pass by itself."
Context: AdverseEvent
* value[x] 1..1
* value[x] only boolean

Extension: AdverseEventEnd
Id: adverse-event-end
Title: "End of the adverse event"
Description: "When the adverse event was over; date is when it began."
Context: AdverseEvent
* value[x] 1..1
* value[x] only dateTime

Extension: ResultStatus
Id: result-status
Title: "Result status"
Description: "The status that the adverse event was told with (OBX-11)."
Context: AdverseEvent
* value[x] 1..1
* value[x] only code

Extension: RescueMedication
Id: rescue-medication
Title: "Rescue medicine"
Description: "The medicine given for the adverse event."
Context: AdverseEvent
* value[x] 1..1
* value[x] only CodeableConcept

Extension: RescueAdministration
Id: rescue-administration
Title: "Administration of the rescue medicine"
Description: "The administration of the medicine given for the adverse event, by its order number."
Context: AdverseEvent
* value[x] 1..1
* value[x] only Reference(MedicationAdministration)

Extension: Withdrawn
Id: withdrawn
Title: "Withdrawn"
Description: "The adverse event was told in error, or could not be told: it is none. R4 has no status here."
Context: AdverseEvent
* . ^isModifier = true
* . ^isModifierReason = "An adverse event that was withdrawn did not happen"
* value[x] 1..1
* value[x] only boolean
