package ketafhir.hapi;

import jakarta.servlet.DispatcherType;
import jakarta.servlet.Servlet;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.EnumSet;
import org.eclipse.jetty.ee10.servlet.FilterHolder;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.ConnectionFactory;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.SecureRequestCustomizer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.SslConnectionFactory;
import org.eclipse.jetty.server.handler.GracefulHandler;
import org.eclipse.jetty.util.ssl.SslContextFactory;

/** Jetty with one connector, plain or TLS, and one servlet. */
final class HttpServer {

	private static final int LONGEST_HEADERS = 64 << 10; // a search over many identifiers is one long line
	private static final long STOP_MILLIS = 5000;

	private final Settings settings;
	private final Server jetty = new Server();
	private final ServerConnector connector;

	HttpServer(Settings settings, Servlet fhir) {
		this.settings = settings;
		this.connector = new ServerConnector(jetty, connectionFactories(settings));
		connector.setHost(settings.host());
		connector.setPort(settings.port());
		jetty.addConnector(connector);
		jetty.setHandler(new GracefulHandler(servletHandler(settings, fhir)));
		jetty.setStopTimeout(STOP_MILLIS);
	}

	/** Fails now, not after the seconds that HAPI takes to start, when the port is not to be had. */
	static void checkPort(Settings settings) throws IOException {
		try (ServerSocket socket = new ServerSocket()) {
			socket.setReuseAddress(true);
			socket.bind(new InetSocketAddress(settings.host(), settings.port()));
		} catch (IOException e) {
			throw new IOException("cannot listen on " + settings.host() + ":" + settings.port() + ": " + e.getMessage());
		}
	}

	/** Starts to answer, and returns the base URL with the port in use. */
	String start() throws Exception {
		jetty.start();
		String host = settings.host().contains(":") ? "[" + settings.host() + "]" : settings.host();
		String scheme = settings.keyStore().isPresent() ? "https" : "http";
		return scheme + "://" + host + ":" + connector.getLocalPort() + settings.path();
	}

	/** Lets running requests end, for some seconds. */
	void stop() throws Exception {
		jetty.stop();
	}

	private static ConnectionFactory[] connectionFactories(Settings settings) {
		HttpConfiguration http = new HttpConfiguration();
		http.setSendServerVersion(false);
		http.setRequestHeaderSize(LONGEST_HEADERS);
		if (settings.keyStore().isEmpty()) {
			return new ConnectionFactory[] {new HttpConnectionFactory(http)};
		}
		// One certificate serves whatever name or address the client used; matching it is the client's check.
		http.addCustomizer(new SecureRequestCustomizer(false));
		SslContextFactory.Server tls = new SslContextFactory.Server();
		tls.setKeyStorePath(settings.keyStore().get().file().toUri().toString());
		tls.setKeyStorePassword(settings.keyStore().get().password());
		return new ConnectionFactory[] {new SslConnectionFactory(tls, "http/1.1"), new HttpConnectionFactory(http)};
	}

	private static ServletContextHandler servletHandler(Settings settings, Servlet fhir) {
		ServletContextHandler handler = new ServletContextHandler();
		handler.setContextPath("/");
		ServletHolder holder = new ServletHolder(fhir);
		holder.setInitOrder(1); // at start, not at the first request
		handler.addServlet(holder, settings.path() + "/*");
		settings.token().ifPresent(token -> handler.addFilter(
				new FilterHolder(new BearerTokenFilter(token)), "/*", EnumSet.of(DispatcherType.REQUEST)));
		return handler;
	}
}
