"""``particle-dev cloud check``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from particle_dev.catalog.platforms import platform_by_id
from particle_dev.cli.cloud_import import ORDER_FILE, read_files
from particle_dev.cli.cloud_options import cloud_option, opened_cloud
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option, open_store, store_option
from particle_dev.cli.output import print_text
from particle_dev.cloud.check import LintFinding, Severity, check_product, worst
from particle_dev.cloud.check_facts import LineFirmware, Unread
from particle_dev.cloud.check_read import read_facts
from particle_dev.cloud.products import product as get_product
from particle_dev.cloud.records import Product
from particle_dev.protocol.module import parse
from particle_dev.station.recipe import load_recipe

_MARKS = {
    Severity.OK: "ok",
    Severity.NOTE: "note",
    Severity.PROBLEM: "PROBLEM",
    Severity.UNKNOWN: "UNKNOWN",
}
_EXIT_CODES = {
    Severity.OK: ExitCode.OK,
    Severity.NOTE: ExitCode.OK,
    Severity.PROBLEM: ExitCode.FAILED,
    Severity.UNKNOWN: ExitCode.INCOMPLETE,
}
_NO_RECIPE = Unread("what the line flashes is not told", "give its recipe with --recipe")


@click.command("check")
@click.option("--product", "product_ref", required=True, metavar="ID|SLUG", help="What to check.")
@click.option("--recipe", "recipe_path", type=click.Path(path_type=Path), help="Recipe (TOML) of the line.")
@click.option("--ids", "order_files", multiple=True, type=ORDER_FILE, help="Order file: what the line will get.")
@click.option("--release", type=click.IntRange(1, 65535), metavar="VERSION", help="Could this version be released?")
@click.option("--bench-device", "bench_devices", multiple=True, metavar="ID", help="May have the development mark.")
@store_option
@cloud_option
@json_option
def check(
    product_ref: str,
    recipe_path: Path | None,
    order_files: tuple[Path, ...],
    release: int | None,
    bench_devices: tuple[str, ...],
    store_dir: Path | None,
    profile: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Check the settings of a product, before a line works for it.

    Finds what lets strangers in, reflashes units after they left the line, loses or doubles events, or forbids a first
    release. Changes nothing. Exit status 1 with a problem, 6 with a check that could not be made.
    """
    order = read_files(order_files) if order_files else None
    with opened_cloud(profile, token_file) as api:
        product = get_product(api, product_ref)
        firmware = _line_firmware(product, recipe_path, store_dir) if recipe_path else _NO_RECIPE
        bench = {device_id.lower() for device_id in bench_devices}
        facts = read_facts(api, product_ref, firmware, order=order, bench_devices=bench)
    findings = check_product(facts, firmware, order, release)
    if as_json:
        found = [dataclasses.asdict(finding) for finding in findings]
        click.echo(json.dumps({"product": {"id": product.id, "name": product.name}, "findings": found}))
    else:
        for finding in findings:
            _print(finding)
    raise SystemExit(_EXIT_CODES[worst(findings)])


def _line_firmware(product: Product, recipe_path: Path, store_dir: Path | None) -> LineFirmware | Unread:
    """What the recipe flashes on the product's platform, from the firmware store. Raises ConfigError,
    FirmwareStoreError."""
    recipe = load_recipe(recipe_path)
    platform = platform_by_id(product.platform_id)
    choice = recipe.firmware.get(platform.name) if platform else None
    if platform is None or choice is None:
        name = platform.display_name if platform else f"platform {product.platform_id}"
        return Unread(f"recipe {recipe.name} has no firmware for {name}", "give the recipe of this product's line")
    store = open_store(store_dir)
    stored = store.app(platform.name, choice.app)
    return LineFirmware.of(choice.app, parse(store.read(stored.sha256)), choice.device_os)


def _print(finding: LintFinding) -> None:
    print_text(f"{_MARKS[finding.severity]:<8} {finding.where}: {finding.message} ({finding.code})", 9)
    if finding.fix and finding.severity is not Severity.OK:
        print_text(f"         what to do: {finding.fix}", 11)
