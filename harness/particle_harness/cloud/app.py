"""The API as a WSGI application: finds the endpoint, checks token, scope, limits and bodies, lets faults happen.

Everything that is answered is JSON, errors too, since npm's particle-api-js can read nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from particle_harness.cloud.api import ALL_ROUTES
from particle_harness.cloud.errors import (
    ApiError,
    ConnectionCutError,
    bad_request,
    expired_token,
    invalid_token,
    no_token,
)
from particle_harness.cloud.faults import CloudFault
from particle_harness.cloud.openapi import description
from particle_harness.cloud.population import hash_of
from particle_harness.cloud.routes import Call, Reply, Route, UploadedFile
from particle_harness.cloud.tables import Account, Token

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

StartResponse = Any
OPENAPI_PATH = "/openapi.json"


@cache
def _rules() -> Map:
    """Compiled once in a process: it takes longer than to make a cloud, and is the same for all of them."""
    return Map(
        # HEAD first: where it has no endpoint of its own, that of GET answers it.
        [
            Rule(route.path, methods=[route.method], endpoint=route)
            for route in sorted(ALL_ROUTES, key=lambda route: route.method != "HEAD")
        ],
        strict_slashes=False,
        merge_slashes=False,
    )


class App:
    """Call it as WSGI says."""

    def __init__(self, cloud: SimCloud) -> None:
        self._cloud = cloud
        self._rules = _rules()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. Raises ConnectionResetError where the network cuts it off."""
        request = Request(environ)
        # Also what nobody looks at: the next request on this connection comes behind it.
        request.get_data(cache=True, parse_form_data=True)
        try:
            response = self._respond(request)
        except ConnectionCutError as error:
            raise ConnectionResetError("the simulated network cut the connection") from error
        finally:
            request.close()
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        cloud = self._cloud
        if request.path == OPENAPI_PATH:
            return _json(200, description(ALL_ROUTES))
        cloud.advance()
        fault = None if request.path.startswith("/sim/") else cloud.faults.for_request(request.method, request.path)
        try:
            if fault is not None:
                spoilt = self._spoil(fault)
                if spoilt is not None:
                    return spoilt
            response = self._answer(request, fault)
        except ApiError as error:
            response = _json(error.status, error.body)
            if error.retry_after_s is not None:
                response.headers["Retry-After"] = str(error.retry_after_s)
        except HTTPException as error:
            response = _json(error.code or 500, {"ok": False, "error": error.name, "error_description": error.name})
            for name, value in error.get_headers():
                if name == "Allow":
                    response.headers[name] = value
        if fault is not None and fault.do == "truncate":
            response.set_data(response.get_data()[: len(response.get_data()) // 2])
        return response

    def _spoil(self, fault: CloudFault) -> Response | None:
        if fault.do == "status":
            bodies: dict[str, Any] = {
                "errors": {"ok": False, "errors": ["A fault by script"]},
                "code": {"ok": False, "code": fault.status, "errors": [{"error": "A fault by script"}]},
            }
            text = {"error": "A fault by script", "error_description": "A fault by script"}
            response = _json(fault.status, bodies.get(fault.shape, text))
            if fault.retry_after_s is not None:
                response.headers["Retry-After"] = str(fault.retry_after_s)
            return response
        if fault.do == "html":
            page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
            return Response(page, status=502, content_type="text/html")
        if fault.do == "empty":
            return Response(b"", status=200)
        if fault.do == "drop":
            raise ConnectionCutError
        if fault.do == "expire_token":
            raise expired_token()
        if fault.do == "slow":
            self._cloud.clock.sleep(fault.delay_s)
        return None

    def _answer(self, request: Request, fault: CloudFault | None) -> Response:
        cloud = self._cloud
        route, params = self._rules.bind_to_environ(request.environ).match()
        assert isinstance(route, Route)
        ip = request.headers.get("X-Forwarded-For", request.remote_addr or "127.0.0.1")
        with cloud.session():
            if not request.path.startswith("/sim/"):
                cloud.limits.take("requests", ip)
            if route.limit:
                cloud.limits.take(route.limit, ip)
            call = self._call(request, route, params, ip)
            result = None if route.waits else route.handler(call)
        if route.waits:
            result = route.handler(call)
        else:
            cloud.network.deliver()
        if fault is not None and fault.do == "release_pending" and isinstance(result, Reply):
            result = Reply(202, {"ok": True})
        return _response(route, result)

    def _call(self, request: Request, route: Route, params: Any, ip: str) -> Call:
        query = request.args.to_dict()
        fields, files = _body(request)
        bearer = self._bearer(request, query, fields)
        account, token = (None, None)
        if route.auth:
            account, token = self._identify(bearer)
        basic = request.authorization
        call = Call(
            cloud=self._cloud,
            method=request.method,
            path=request.path,
            params={name: _decoded(str(value)) for name, value in params.items()},
            query=None,
            body=None,
            files=files,
            ip=ip,
            basic=(basic.username or "", basic.password or "") if basic and basic.type == "basic" else None,
            account=account,
            token=token,
            headers=dict(request.headers),
        )
        if route.auth and route.scope is not None:
            call.require_scope(route.scope)
        call.query = _model(route.query, query)
        call.body = _model(route.body, fields)
        return call

    def _bearer(self, request: Request, query: dict[str, Any], fields: dict[str, Any]) -> str | None:
        authorization = request.authorization
        in_header = authorization.token if authorization and authorization.type == "bearer" else None
        in_query, in_body = query.pop("access_token", None), fields.pop("access_token", None)
        return in_header or in_query or in_body

    def _identify(self, bearer: str | None) -> tuple[Account, Token]:
        cloud = self._cloud
        if not bearer:
            raise no_token()
        token = cloud.store.get(Token, hash_of(bearer))
        account = cloud.store.get(Account, token.account_id) if token else None
        if token is None or account is None:
            raise invalid_token()
        if token.expires_at is not None and token.expires_at <= cloud.now_s():
            raise expired_token()
        return account, token


def _decoded(value: str) -> str:
    """cheroot leaves slashes in a path encoded, so that they separate nothing."""
    return value.replace("%2F", "/").replace("%2f", "/")


def _body(request: Request) -> tuple[dict[str, Any], list[UploadedFile]]:
    files = [UploadedFile(name, file.filename or "", file.read()) for name, file in request.files.items(multi=True)]
    if request.mimetype == "application/json":
        text = request.get_data()
        try:
            value = json.loads(text) if text.strip() else {}
        except ValueError as error:
            raise bad_request(f"the body is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise bad_request("the body is no JSON object")
        return value, files
    return request.form.to_dict(), files


def _model(model: type[BaseModel] | None, fields: dict[str, Any]) -> Any:
    if model is None:
        return None
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise bad_request(f"{where}: {first['msg']}") from error


def _response(route: Route, result: Any) -> Response:
    if route.is_stream:
        response = Response(result, status=200, mimetype="text/event-stream", direct_passthrough=True)
        response.headers["Cache-Control"] = "no-cache"
        return response
    if isinstance(result, Reply):
        return Response(status=result.status) if result.body is None else _json(result.status, result.body)
    if isinstance(result, bytes):
        return Response(result, status=route.status, mimetype="application/octet-stream")
    return _json(route.status, result)


def _json(status: int, body: Any) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
