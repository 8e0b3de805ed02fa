package ketafhir.hapi;

import ca.uhn.fhir.rest.server.RestfulServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/** Runs a HAPI FHIR JPA R4 server until SIGTERM; see {@link Settings} for the properties. */
public final class Main {

	private Main() {}

	public static void main(String[] args) {
		try {
			run(Settings.fromSystem());
		} catch (Exception e) {
			e.printStackTrace();
			System.err.println("fhir-server: " + rootCause(e)); // the last line, for whoever started us
			System.exit(1); // HAPI's scheduler threads would keep a half-started server alive
		}
	}

	private static void run(Settings settings) throws Exception {
		HttpServer.checkPort(settings);
		AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext();
		context.registerBean(Settings.class, () -> settings);
		context.register(DatabaseConfig.class, FhirConfig.class);
		context.refresh();

		HttpServer server = new HttpServer(settings, context.getBean(RestfulServer.class));
		String url = server.start();
		Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server, context)));
		if (settings.readyFile().isPresent()) {
			write(settings.readyFile().get(), url);
		}
		System.out.println("FHIR R4 server ready at " + url);
	}

	private static String rootCause(Throwable error) {
		Throwable cause = error;
		while (cause.getCause() != null) {
			cause = cause.getCause();
		}
		return cause.getMessage() == null ? cause.toString() : cause.getMessage();
	}

	private static void stop(HttpServer server, AnnotationConfigApplicationContext context) {
		try {
			server.stop();
		} catch (Exception e) {
			e.printStackTrace();
		}
		context.close();
	}

	/** Whole or not at all: a reader never sees half a URL. */
	private static void write(Path file, String text) throws IOException {
		Path part = file.resolveSibling(file.getFileName() + ".part");
		Files.writeString(part, text + "\n");
		Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
	}
}
