"""Endpoints: how one is declared, and what its handler is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import BaseModel

from particle_harness.cloud.errors import not_for_api_users, scope_missing
from particle_harness.cloud.tables import Account, Token

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
ModelT = TypeVar("ModelT", bound=BaseModel)


class UploadedFile(NamedTuple):
    """A file of a multipart body."""

    field: str
    filename: str
    data: bytes


class Reply(NamedTuple):
    """``body`` None: no body at all."""

    status: int
    body: Any = None


@dataclass(slots=True)
class Call:
    """One request on its way through a handler."""

    cloud: SimCloud
    method: str
    path: str
    params: Mapping[str, str]
    query: Any
    """The route's model of its query."""
    body: Any
    """The route's model of its body."""
    files: Sequence[UploadedFile]
    ip: str
    basic: tuple[str, str] | None = None
    """User and password of HTTP Basic."""
    account: Account | None = None
    token: Token | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def who(self) -> Account:
        """Whose token came along."""
        assert self.account is not None
        return self.account

    def require_scope(self, scope: str) -> None:
        """Raises ApiError for an API user without it."""
        if self.account and self.account.is_programmatic:
            if not scope:
                raise not_for_api_users()
            if scope not in self.account.scopes:
                raise scope_missing(scope)


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. ``scope`` "" means people only, None any token; ``auth`` false: no token is looked at."""

    method: str
    path: str
    handler: Callable[[Call], Any]
    summary: str
    scope: str | None = ""
    auth: bool = True
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: Any = None
    """What a good answer is: a model or a list of one; None: no JSON."""
    status: int = 200
    errors: tuple[int, ...] = ()
    limit: str = ""
    """Bucket of ``limits.LIMITS`` that is counted by public IP."""
    multipart: bool = False
    is_stream: bool = False
    waits: bool = False
    """The handler waits for a device, so it runs without the cloud's lock."""
    public: bool = True
    """Part of the OpenAPI description."""

    @property
    def params_can_miss(self) -> bool:
        """Whether its path names something that there may not be."""
        return "<" in self.path


class Routes:
    """Endpoints of one module."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def add(self, method: str, *paths: str, **settings: Any) -> Callable[[HandlerT], HandlerT]:
        """Declare the function below as the handler of these paths. Its docstring is the summary."""

        def declare(handler: HandlerT) -> HandlerT:
            summary = (handler.__doc__ or "").strip().splitlines()[0]
            for path in paths:
                self.all.append(Route(method, path, handler, summary, **settings))
            return handler

        return declare
