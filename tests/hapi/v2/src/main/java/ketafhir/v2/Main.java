package ketafhir.v2;

import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.model.AbstractGroup;
import ca.uhn.hl7v2.model.GenericMessage;
import ca.uhn.hl7v2.model.Group;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.model.Segment;
import ca.uhn.hl7v2.model.Structure;
import ca.uhn.hl7v2.model.Type;
import ca.uhn.hl7v2.parser.PipeParser;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads messages from standard input (each four bytes of length, then that many of UTF-8) and writes for each one line of JSON:
 * what HAPI finds wrong with it. Found are: what its parser refuses with the default validation; segments that have no place in the
 * structure; and required segments and fields that are empty, and repetitions beyond what the structure allows.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws IOException {
        DataInputStream in = new DataInputStream(System.in);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        try (DefaultHapiContext context = new DefaultHapiContext()) {
            context.setValidationContext(ValidationContextFactory.defaultValidation());
            PipeParser parser = context.getPipeParser();
            while (true) {
                byte[] message;
                try {
                    message = new byte[in.readInt()];
                } catch (EOFException end) {
                    return;
                }
                in.readFully(message);
                out.println(json(found(parser, new String(message, StandardCharsets.UTF_8))));
            }
        }
    }

    private static List<String> found(PipeParser parser, String text) {
        List<String> found = new ArrayList<>();
        try {
            Message message = parser.parse(text);
            if (message instanceof GenericMessage) {
                found.add("structure: HAPI has none for " + message.getName() + " in " + message.getVersion());
            } else {
                group(message, "", found);
            }
        } catch (HL7Exception refused) {
            found.add("parser: " + refused.getMessage());
        }
        return found;
    }

    private static void group(Group group, String path, List<String> found) throws HL7Exception {
        if (group instanceof AbstractGroup known) {
            for (String name : known.getNonStandardNames()) {
                if (!name.startsWith("Z")) {
                    found.add("place: " + path + name + " has no place here");
                }
            }
        }
        for (String name : group.getNames()) {
            Structure[] all = group.getAll(name);
            boolean filled = false;
            for (Structure one : all) {
                if (one.isEmpty()) {
                    continue;
                }
                filled = true;
                if (one instanceof Group inner) {
                    group(inner, path + name + ".", found);
                } else {
                    segment((Segment) one, path + name, found);
                }
            }
            if (!filled && group.isRequired(name) && !standard(group, name)) {
                found.add("required: " + path + name + " is missing");
            }
            if (all.length > 1 && !group.isRepeating(name)) {
                found.add("repeats: " + path + name);
            }
        }
    }

    /** What a group has that its version does not have in it is none of the version's requirements. */
    private static boolean standard(Group group, String name) throws HL7Exception {
        return group instanceof AbstractGroup known && known.getNonStandardNames().contains(name);
    }

    private static void segment(Segment segment, String path, List<String> found) throws HL7Exception {
        for (int field = 1; field <= segment.numFields(); field++) {
            Type[] all;
            try {
                all = segment.getField(field);
            } catch (HL7Exception beyond) {
                found.add("place: " + path + "-" + field + ": " + beyond.getMessage());
                continue;
            }
            boolean empty = true;
            for (Type one : all) {
                empty &= one.isEmpty();
            }
            if (empty && segment.isRequired(field)) {
                found.add("required: " + path + "-" + field + " is empty");
            }
            int most = segment.getMaxCardinality(field);
            if (most > 0 && all.length > most) {
                found.add("repeats: " + path + "-" + field + " " + all.length + " times");
            }
        }
    }

    private static String json(List<String> texts) {
        StringBuilder line = new StringBuilder("[");
        for (String text : texts) {
            line.append(line.length() > 1 ? "," : "").append('"');
            for (char letter : text.toCharArray()) {
                if (letter == '"' || letter == '\\' || letter < ' ') {
                    line.append(String.format("\\u%04x", (int) letter));
                } else {
                    line.append(letter);
                }
            }
            line.append('"');
        }
        return line.append(']').toString();
    }
}
