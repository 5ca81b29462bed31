"""``particle-dev cloud events``."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import click

from particle_dev.cli.cloud_common import cloud_command, devices_of, product_option
from particle_dev.cli.cloud_events_view import EventsView
from particle_dev.cli.cloud_options import opened_cloud, read_secret
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import duration_option
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.event_access import check_devices
from particle_dev.cloud.event_hub import EventHub, EventSource
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import CloudEvent, StreamEnded, StreamGap, StreamScope
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.pubsub_source import PubSubSource
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.webhook_receiver import WebhookSource
from particle_dev.transport.pubsub import PubSubQueue

FLUSH_AFTER_S = 0.5
"""Silence after which nothing more is held back."""
REREAD_ONE_BY_ONE = 20
"""More devices than this are read again as a list."""


@click.command()
@click.argument("prefix", default="")
@product_option(required=False)
@click.option("--device", "device_ids", multiple=True, metavar="ID", help="Only of this device; repeat for more.")
@click.option("--max", "max_events", type=click.IntRange(1), metavar="N", help="Stop after so many events.")
@click.option("--canary", is_flag=True, help="Prove by events of our own that the stream carries events.")
@click.option(
    "--webhook", "webhook_port", type=click.IntRange(1, 65535), metavar="PORT", help="Take what a webhook posts here."
)
@click.option("--key-file", type=click.Path(path_type=Path), help="File with the key that the webhook has to send.")
@click.option("--pubsub", "subscription", metavar="NAME", help="Pull from projects/PROJECT/subscriptions/NAME.")
@duration_option
@cloud_command
def events(
    prefix: str,
    product_ref: str | None,
    device_ids: tuple[str, ...],
    max_events: int | None,
    canary: bool,
    webhook_port: int | None,
    key_file: Path | None,
    subscription: str | None,
    duration_s: float | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> ExitCode:
    """Print events whose names begin with PREFIX as they come, and every gap in the stream.

    The stream of a product has the events of all its members, that of the account only those of devices claimed to it:
    unclaimed devices are refused with the reason. After an interruption the devices' records are read again and
    printed. Exit status 6 when there was a gap, or fewer events than --max.

    --webhook listens on this machine for what a reverse proxy hands on; --pubsub pulls from Google (extra 'pubsub').
    """
    if (webhook_port is None) != (key_file is None):
        raise click.UsageError("--webhook and --key-file go together.")
    if (webhook_port is not None) + (subscription is not None) + canary > 1:
        raise click.UsageError("--webhook, --pubsub and --canary exclude each other.")
    view = EventsView(as_json=as_json)
    scope = StreamScope(product_ref=_number(product_ref))
    with opened_cloud(profile, token_file) as api:
        source: EventSource
        if webhook_port is not None and key_file is not None:
            source = WebhookSource(read_secret(key_file), webhook_port)
        elif subscription is not None:
            source = PubSubSource(PubSubQueue(subscription), api.clock.utc_now, api.rng)
        else:
            if device_ids:
                check_devices(api, scope, device_ids)
            source = sse = SseSource(api, scope, canary=canary)
            sse.on_open = partial(view.listening, sse.name)
            sse.on_proven = view.proven
        hub = EventHub(source, api.clock.utc_now, reread=lambda ids: reread(api, product_ref, ids))
        items = hub.subscribe(device_ids or None, prefix)
        count, gaps = 0, 0
        end_s = None if duration_s is None else time.monotonic() + duration_s
        with hub:
            while max_events is None or count < max_events:
                left_s = None if end_s is None else end_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    break
                if view.holds_back:
                    left_s = FLUSH_AFTER_S if left_s is None else min(FLUSH_AFTER_S, left_s)
                item = items.get(left_s)
                if item is None and view.flush():
                    continue
                if item is None:
                    break
                if isinstance(item, StreamEnded):
                    if item.error is not None:
                        raise item.error
                    break
                count += isinstance(item, CloudEvent)
                gaps += isinstance(item, StreamGap)
                view.take(item)
        view.flush()
    return ExitCode.INCOMPLETE if gaps or (max_events is not None and count < max_events) else ExitCode.OK


def reread(api: CloudApi, product_ref: str | None, ids: frozenset[str] | None) -> Iterable[DeviceRecord]:
    """Records of these devices, or of all on the stream."""
    if ids is not None and len(ids) <= REREAD_ONE_BY_ONE:
        of = devices_of(api, product_ref)
        return [of.get(device_id) for device_id in sorted(ids)]
    found: Iterable[DeviceRecord]
    if product_ref is None:
        found = AccountDevices(api).list()
    else:
        found = ProductDevices(api, product_ref).list(sort="deviceId", descending=False)
    return (r for r in found if ids is None or r.id in ids)


def _number(product_ref: str | None) -> str | int | None:
    return int(product_ref) if product_ref is not None and product_ref.isdecimal() else product_ref
