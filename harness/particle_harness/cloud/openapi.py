"""The OpenAPI description of the simulated API, made from the endpoints as they are declared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from particle_harness.cloud.routes import Route
from particle_harness.cloud.shapes import ErrorBody

_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_ALWAYS = (400, 429)
_WITH_TOKEN = (401, 403)


def description(routes: Iterable[Route]) -> dict[str, Any]:
    """OpenAPI 3.1."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for route in routes:
        if route.public:
            path = _PARAMETER.sub(r"{\1}", route.path)
            paths.setdefault(path, {})[route.method.lower()] = _operation(route, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Particle Cloud API, simulated",
            "version": "1",
            "description": "What the simulated cloud of particle-dev answers; a part of Particle's own API.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, path: str, schemas: dict[str, Any]) -> dict[str, Any]:
    names = _PARAMETER.findall(route.path)
    parameters = [
        {"name": n, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for n in names
    ]
    if route.query is not None:
        schema = _schema(route.query, schemas, inline=True)
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": part}
            for name, part in schema.get("properties", {}).items()
        ]
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{path}",
        "summary": route.summary,
        "parameters": parameters,
        "responses": _responses(route, schemas),
    }
    if route.scope:
        operation["description"] = f"API users need the scope `{route.scope}`."
    if route.auth:
        operation["security"] = [{"bearer": []}]
    if route.body is not None:
        operation["requestBody"] = _request_body(route, schemas)
    return operation


def _request_body(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    assert route.body is not None
    schema = _schema(route.body, schemas)
    content = {"application/json": {"schema": schema}}
    if route.multipart:
        properties = {"file": {"type": "string", "format": "binary"}}
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": properties}}
    return {"content": content, "required": False}


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done"}
    if route.is_stream:
        good["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    elif route.answer is not None:
        good["content"] = {"application/json": {"schema": _schema(route.answer, schemas)}}
    elif route.status != 204:
        good["content"] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    statuses = {*_ALWAYS, *route.errors, *(_WITH_TOKEN if route.auth else ())}
    if route.params_can_miss:
        statuses.add(404)
    error = _schema(ErrorBody, schemas)
    bad = {
        str(s): {"description": "Refused", "content": {"application/json": {"schema": error}}} for s in sorted(statuses)
    }
    return {str(route.status): good, **bad}


def _schema(shape: Any, schemas: dict[str, Any], *, inline: bool = False) -> dict[str, Any]:
    """A reference to the schema of a model, or the schema itself."""
    schema = TypeAdapter(shape).json_schema(ref_template="#/components/schemas/{model}", by_alias=True)
    schemas.update(schema.pop("$defs", {}))
    if not inline and isinstance(shape, type) and issubclass(shape, BaseModel):
        schemas[shape.__name__] = schema
        return {"$ref": f"#/components/schemas/{shape.__name__}"}
    return schema
