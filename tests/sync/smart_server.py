"""A FHIR server that wants a token, and Authlib's authorization server that gives it, on one loopback port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, InvalidClientError, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from http_peer import Answering, serving_http


class Client(ClientMixin):  # type: ignore[misc]
    """The one client that is known, by its public keys."""

    def get_client_id(self) -> str:
        return "ketafhir"

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "private_key_jwt"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class Server(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server, without a framework around it."""

    def __init__(self, world: SmartWorld) -> None:
        super().__init__()
        self.world = world

        class Assertion(JWTBearerClientAssertion):  # type: ignore[misc]
            CLIENT_AUTH_METHOD = "private_key_jwt"

            def get_audiences(self) -> list[str]:
                return [f"{world.origin}/token"]

            def resolve_client_public_key(self, client: Client) -> Any:
                return world.public

            def process_assertion_claims(self, assertion: str, resolve_key: Any) -> Any:
                """As Authlib's, but with the two algorithms of SMART in place of its own three."""
                try:
                    token = jwt.decode(assertion, resolve_key, algorithms=["ES384", "RS384"])
                except JoseError as error:
                    raise InvalidClientError(description=str(error)) from error
                self.verify_claims(token.claims)
                return token.claims

            def validate_jti(self, claims: Any, jti: str) -> bool:
                fresh = jti not in world.jtis
                world.jtis.append(jti)
                return fresh

        class Grant(ClientCredentialsGrant):  # type: ignore[misc]
            TOKEN_ENDPOINT_AUTH_METHODS = ("private_key_jwt",)

        self.register_grant(Grant)
        self.register_client_auth_method("private_key_jwt", Assertion())
        self.register_token_generator(
            "default", BearerTokenGenerator(self._name, expires_generator=lambda *_: world.life)
        )

    def _name(self, *_: Any, **__: Any) -> str:
        self.world.tokens.append(f"token-{len(self.world.tokens) + 1}")
        return self.world.tokens[-1]

    def query_client(self, client_id: str) -> Client | None:
        return Client() if client_id == "ketafhir" else None

    def save_token(self, token: Any, request: Any) -> None:
        """Kept by its name."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: tuple[str, dict[str, str]]) -> OAuth2Request:
        uri, form = request

        class Form(OAuth2Request):  # type: ignore[misc]
            @property
            def form(self) -> dict[str, str]:
                return form

        found = Form("POST", uri, headers={})
        found.payload = BasicOAuth2Payload(form)
        return found

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any]:
        return status, body


class SmartWorld:
    """What the test can change and see. `public` are the client's public keys as the server knows them."""

    def __init__(self) -> None:
        self.origin = ""
        self.public: KeySet | None = None
        self.life = 300
        self.jtis: list[str] = []
        self.tokens: list[str] = []  # given; the last is the one that is taken
        self.revoked: set[str] = set()
        self.bundles = 0
        self.discovered = 0
        self.smart: dict[str, Any] = {}
        self.token_fault: int | None = None
        self.asked: list[str] = []  # the scopes
        self.granted: str | None = None  # in place of what was asked for

    @property
    def base(self) -> str:
        return f"{self.origin}/fhir"

    def configuration(self) -> dict[str, Any]:
        self.discovered += 1
        told = {
            "token_endpoint": f"{self.origin}/token",
            "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        }
        return told | self.smart


@contextmanager
def smart_server() -> Iterator[SmartWorld]:
    world = SmartWorld()
    authorization = Server(world)

    class Handler(Answering):
        def do_GET(self) -> None:
            if self.path == "/fhir/.well-known/smart-configuration":
                self.answer(200, world.configuration())
            else:
                self._guarded({"resourceType": "CapabilityStatement"})

        def do_POST(self) -> None:
            body = self.body()
            if self.path == "/token":
                if world.token_fault:
                    self.answer(world.token_fault, {})
                    return
                form = dict(parse_qsl(body.decode()))
                world.asked.append(form["scope"])
                status, told = authorization.create_token_response((f"{world.origin}/token", form))
                self.answer(status, told if world.granted is None else told | {"scope": world.granted})
                return
            entries = [{"response": {"status": "200", "etag": 'W/"1"'}} for _ in json.loads(body)["entry"]]
            self._guarded({"resourceType": "Bundle", "type": "transaction-response", "entry": entries})

        def _guarded(self, resource: dict[str, Any]) -> None:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if token not in world.tokens or token in world.revoked:
                self.answer(401, {"resourceType": "OperationOutcome"})
                return
            world.bundles += resource["resourceType"] == "Bundle"
            self.answer(200, resource)

    with serving_http(Handler) as port:
        world.origin = f"http://127.0.0.1:{port}"
        yield world
