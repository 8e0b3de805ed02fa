import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.parser.IParser;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.Resource;

/**
 * Writes the R4 definitions that come with HAPI into a folder, as the local FHIR package hl7.fhir.r4.core#4.0.1:
 * SUSHI then compiles without a registry of FHIR packages. Run with the libraries of the FHIR server on the class path.
 */
public final class CorePackage {
  private static final String PLACE = "/org/hl7/fhir/r4/model/";
  private static final List<String> SOURCES = List.of(
      "profile/profiles-types.xml",
      "profile/profiles-resources.xml",
      "profile/profiles-others.xml",
      "extension/extension-definitions.xml",
      "valueset/valuesets.xml",
      "valueset/v2-tables.xml",
      "valueset/v3-codesystems.xml");

  private CorePackage() {}

  public static void main(String[] arguments) throws IOException {
    Path folder = Files.createDirectories(Path.of(arguments[0]));
    FhirContext context = FhirContext.forR4();
    IParser xml = context.newXmlParser();
    IParser json = context.newJsonParser();
    Set<String> written = new HashSet<>();
    for (String source : SOURCES) {
      try (InputStream stream = CorePackage.class.getResourceAsStream(PLACE + source)) {
        Bundle bundle = xml.parseResource(Bundle.class, new InputStreamReader(stream, StandardCharsets.UTF_8));
        for (Bundle.BundleEntryComponent entry : bundle.getEntry()) {
          Resource resource = entry.getResource();
          if (resource == null || resource.getIdElement().getIdPart() == null) {
            continue;
          }
          String name = resource.fhirType() + "-" + resource.getIdElement().getIdPart() + ".json";
          if (written.add(name)) {
            Files.writeString(folder.resolve(name), json.encodeResourceToString(resource));
          }
        }
      }
    }
    String about = "{\"name\":\"hl7.fhir.r4.core\",\"version\":\"4.0.1\",\"fhirVersions\":[\"4.0.1\"],"
        + "\"canonical\":\"http://hl7.org/fhir\"}";
    Files.writeString(folder.resolve("package.json"), about);
    System.out.println(written.size() + " definitions");
  }
}
