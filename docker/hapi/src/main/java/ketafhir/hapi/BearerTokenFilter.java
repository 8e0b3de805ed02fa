package ketafhir.hapi;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpFilter;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;

/**
 * Lets a request pass only with {@code Authorization: Bearer TOKEN} (RFC 6750); the CapabilityStatement is no exception.
 * It stands before HAPI, so that nothing of a stranger's request is parsed.
 */
final class BearerTokenFilter extends HttpFilter {

	private static final long serialVersionUID = 1L;
	private static final String SCHEME = "Bearer ";
	private static final long LARGEST_BODY_READ = 16L << 20;
	private static final String OUTCOME =
			"""
			{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"login",\
			"diagnostics":"a valid bearer token is required in the Authorization header"}]}""";

	private final byte[] token;

	BearerTokenFilter(String token) {
		this.token = token.getBytes(StandardCharsets.UTF_8);
	}

	@Override
	protected void doFilter(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
			throws IOException, ServletException {
		String header = request.getHeader("Authorization");
		if (isAuthorized(header)) {
			chain.doFilter(request, response);
		} else {
			refuse(request, response, header != null);
		}
	}

	private boolean isAuthorized(String header) {
		return header != null
				&& header.regionMatches(true, 0, SCHEME, 0, SCHEME.length())
				// constant time in the presented token, so that answers do not tell how much of it was right
				&& MessageDigest.isEqual(
						header.substring(SCHEME.length()).strip().getBytes(StandardCharsets.UTF_8), token);
	}

	private static void refuse(HttpServletRequest request, HttpServletResponse response, boolean presented)
			throws IOException {
		// Unread, a body makes Jetty reset the connection, and the client sees that in place of the 401.
		request.getInputStream().skip(LARGEST_BODY_READ);
		byte[] body = OUTCOME.getBytes(StandardCharsets.UTF_8);
		response.setStatus(HttpServletResponse.SC_UNAUTHORIZED);
		response.setHeader("WWW-Authenticate", "Bearer realm=\"fhir\"" + (presented ? ", error=\"invalid_token\"" : ""));
		response.setContentType("application/fhir+json;charset=UTF-8");
		response.setContentLength(body.length);
		response.getOutputStream().write(body);
	}
}
