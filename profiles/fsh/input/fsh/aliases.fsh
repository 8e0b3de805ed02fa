Alias: $keta = https://ketafhir.org/fhir/CodeSystem/keta
Alias: $loinc = http://loinc.org
Alias: $sct = http://snomed.info/sct
Alias: $ucum = http://unitsofmeasure.org
Alias: $mdc = urn:iso:std:iso:11073:10101
Alias: $v2-0203 = http://terminology.hl7.org/CodeSystem/v2-0203
Alias: $category = http://terminology.hl7.org/CodeSystem/observation-category
Alias: $agent = http://terminology.hl7.org/CodeSystem/provenance-participant-type
