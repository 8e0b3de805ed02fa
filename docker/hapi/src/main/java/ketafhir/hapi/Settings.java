package ketafhir.hapi;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Where the server listens, stores and whom it lets in. A value {@code NAME} comes from the system property
 * {@code fhir.server.NAME}, else from the environment variable {@code FHIR_SERVER_NAME} (dots as underscores). A secret
 * may also come from the file named by {@code NAME.file}, which keeps it out of the process list.
 *
 * @param host address to bind; only this machine can reach the default
 * @param port TCP port; 0 takes a free one, to be read from {@code readyFile}
 * @param path base path of the FHIR endpoint
 * @param readyFile file that receives the base URL once requests are answered
 * @param token bearer token that every request must carry, where one is set
 * @param subscriptionPollMillis how often active subscriptions are delivered
 */
record Settings(
		String host,
		int port,
		String path,
		Optional<Path> readyFile,
		Optional<String> token,
		Optional<KeyStore> keyStore,
		Database database,
		long subscriptionPollMillis) {

	private static final String PREFIX = "fhir.server.";
	private static final Set<String> NAMES = Set.of(
			"host", "port", "path", "ready.file", "token", "token.file",
			"keystore", "keystore.password", "keystore.password.file",
			"jdbc.url", "jdbc.user", "jdbc.password", "jdbc.password.file", "data", "subscription.poll");

	/** A PKCS#12 or JKS key store with the certificate of the TLS endpoint. */
	record KeyStore(Path file, String password) {}

	/** The database by JDBC URL; H2 and PostgreSQL are on board. */
	record Database(String url, String user, String password) {

		private static final String H2_FILE = "jdbc:h2:file:";

		/**
		 * An explicit URL, else a file in the data directory, else memory. An H2 file is told to write every commit
		 * before it is acknowledged (its default loses half a second of them to a kill), and to leave closing to us.
		 */
		static Database from(Optional<String> url, Optional<String> dataDirectory, String user, String password) {
			String chosen = url
					.or(() -> dataDirectory.map(folder -> H2_FILE + Path.of(folder).toAbsolutePath().resolve("fhir")))
					.orElse("jdbc:h2:mem:fhir;DB_CLOSE_DELAY=-1");
			if (chosen.startsWith(H2_FILE)) {
				chosen = withDefault(withDefault(chosen, "WRITE_DELAY", "0"), "DB_CLOSE_ON_EXIT", "FALSE");
			}
			return new Database(chosen, user, password);
		}

		boolean isPostgres() {
			return url.startsWith("jdbc:postgresql:");
		}

		private static String withDefault(String url, String option, String value) {
			boolean given = url.toUpperCase(Locale.ROOT).contains(";" + option + "=");
			return given ? url : url + ";" + option + "=" + value;
		}
	}

	static Settings fromSystem() throws IOException {
		refuseUnknownProperties();
		Optional<String> url = get("jdbc.url");
		Optional<String> keyStoreFile = get("keystore");
		return new Settings(
				get("host").orElse("127.0.0.1"),
				Integer.parseInt(get("port").orElse("8090")),
				get("path").orElse("/fhir"),
				get("ready.file").map(Path::of),
				secret("token"),
				keyStoreFile.isEmpty()
						? Optional.empty()
						: Optional.of(new KeyStore(
								Path.of(keyStoreFile.get()), secret("keystore.password").orElse(""))),
				Database.from(
						url,
						get("data"),
						get("jdbc.user").orElse("sa"),
						secret("jdbc.password").orElse("")),
				Long.parseLong(get("subscription.poll").orElse("250")));
	}

	private static Optional<String> get(String name) {
		String value = System.getProperty(PREFIX + name);
		if (value == null) {
			value = System.getenv((PREFIX + name).toUpperCase(Locale.ROOT).replace('.', '_'));
		}
		return Optional.ofNullable(value).filter(text -> !text.isBlank());
	}

	private static Optional<String> secret(String name) throws IOException {
		Optional<String> file = get(name + ".file");
		if (file.isEmpty()) {
			return get(name);
		}
		String content = Files.readString(Path.of(file.get())).strip();
		if (content.isEmpty()) {
			throw new IllegalArgumentException(name + ".file is empty: " + file.get());
		}
		return Optional.of(content);
	}

	/** A misspelt token property would leave the server open, so what is not known is refused. */
	private static void refuseUnknownProperties() {
		Set<String> unknown = new TreeSet<>();
		for (String property : System.getProperties().stringPropertyNames()) {
			if (property.startsWith(PREFIX) && !NAMES.contains(property.substring(PREFIX.length()))) {
				unknown.add(property);
			}
		}
		if (!unknown.isEmpty()) {
			throw new IllegalArgumentException("unknown properties: " + unknown);
		}
	}
}
