"""``fedmvp site check``: what a site's administrator wants to know before joining."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedmvp.errors import FedMVPError, error_line
from fedmvp.evaluation.label_counts import THRESHOLDS
from fedmvp.federation.flare.connection import shake_hands
from fedmvp.federation.flare.installed import flare_version, require_flare
from fedmvp.federation.flare.layout import Kit
from fedmvp.federation.plan import Plan, describe, load_plan
from fedmvp.federation.site import Site
from fedmvp.federation.site_config import SiteConfig, load_site_config

__all__ = ["Finding", "examine"]

_SOON_DAYS = 30
_NONE = "no counts"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Parameters
    ----------
    check, detail : str
        What was checked, and what was found.
    ok : bool
    hint : str
        What to do; empty when nothing has to be done.
    """

    check: str
    ok: bool
    detail: str
    hint: str = ""


def examine(kit: Kit, *, connect: bool) -> Iterator[Finding]:
    """Yield the findings; an error in one check does not stop the others."""
    yield from _guarded("engine", _engine)
    yield from _guarded("certificate", lambda: _certificate(kit))
    if connect:
        yield from _guarded("connection", lambda: _connection(kit))
    yield from _guarded("site", lambda: _site(kit))


def _guarded(check: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn an error the user can correct into a finding."""
    try:
        yield from look()
    except FedMVPError as error:
        yield Finding(check, False, f"{error.where}: {error.what}", error.hint)
    except OSError as error:
        yield Finding(
            check, False, error_line(error, "check the path and its permissions") or str(error)
        )


def _engine() -> Iterator[Finding]:
    require_flare()
    yield Finding("engine", True, f"nvflare {flare_version()}")


def _certificate(kit: Kit) -> Iterator[Finding]:
    """Compare the clock with the certificate's dates: neither side accepts an invalid one."""
    from cryptography import x509

    own = x509.load_pem_x509_certificate((kit.startup / "client.crt").read_bytes())
    now = datetime.now(UTC)
    if now < own.not_valid_before_utc:
        yield Finding(
            "clock",
            False,
            f"it is {now:%Y-%m-%d %H:%M} UTC here, before the kit was made",
            "set the clock: by it, the certificates are not valid yet",
        )
        return
    days = (own.not_valid_after_utc - now).days
    hint = "ask the organiser for `fedmvp federation renew`" if days < _SOON_DAYS else ""
    detail = f"{kit.name}, {max(days, 0)} days left; clock {now:%Y-%m-%d %H:%M} UTC"
    yield Finding("certificate", days >= 0, detail, hint)


def _connection(kit: Kit) -> Iterator[Finding]:
    handshake = shake_hands(kit)
    yield Finding(
        "connection", True, f"{handshake.server} accepts this certificate, {handshake.cipher}"
    )
    skew = handshake.skew_s
    if skew is not None and skew > 0:
        early = f"{skew:.0f} s too early for the server's certificate"
        yield Finding("clock", False, early, "set the clock")


def _site(kit: Kit) -> Iterator[Finding]:
    """Open the site as a job does, train a little, and report what would be sent."""
    plan, config = load_plan(kit.plan), load_site_config(kit.site)
    with tempfile.TemporaryDirectory(prefix="fedmvp-check.") as scratch:
        problems: list[str] = []
        site = Site.open(config, plan, Path(scratch), problems.append)
        client = site.data.client
        yield Finding(
            "data",
            True,
            f"{len(client.train)} training images of {len(client.classes)} classes; held out: "
            + (", ".join(f"{len(t.images)} {t.group}" for t in site.data.targets) or "none"),
        )
        yield Finding("attributes", True, f"texts for {len(site.data.manifest.classes)} classes")
        yield Finding("backbone", True, f"{plan.backbone.sha256[:12]}…, the federation's")
        agreed = describe(plan, site.backbone.spec.tower_sha256)
        yield Finding("agreement", True, ", ".join(f"{k} {v[:12]}" for k, v in agreed.items()))
        yield from _dry_round(config, plan, Path(scratch) / "dry", problems)
        yield from _leaving(site, config)


def _dry_round(
    config: SiteConfig, plan: Plan, states: Path, problems: list[str]
) -> Iterator[Finding]:
    """Train one round with one shot of each class; nothing of it is kept."""
    few = config.model_copy(
        update={"shots": 1, "minimum": config.minimum.model_copy(update={"images": 1})}
    )
    reply = Site.open(few, plan, states, problems.append).rehearse()
    told_of = {name: round(value, 4) for name, value in reply.metrics.items()}
    yield Finding("training", True, f"one shot a class: {told_of or 'metrics stay here'}")


def _leaving(site: Site, config: SiteConfig) -> Iterator[Finding]:
    """Report what would leave the site, by kind."""
    tensors = [f"{name} {tuple(shape)}" for name, shape in site.shapes.items()]
    size = sum(tensor.numel() * 4 for tensor in site.method.tensors().values())
    yield Finding(
        "would leave",
        True,
        f"each round, float32, at most {size:,} bytes: "
        f"those of these tensors that the phase sends: {', '.join(tensors)}",
    )
    metrics = ", ".join(site.metrics) or "no metric"
    yield Finding("would leave", True, f"each round: {metrics}, the phase, the number of images")
    many = site.method.head.many_labels
    counted = (
        f"true and false positives, false negatives at {len(THRESHOLDS)} thresholds, and held-out"
        if many
        else "correct and of all held-out"
    )
    counts = f"counts of {counted} images, of groups of {config.minimum.group} and more"
    yield Finding(
        "would leave", True, f"after the last round: {counts if site.evaluates else _NONE}"
    )
    sums = ", and four sums: of cosines, positive labels, and how many of each" if many else ""
    first = f"before the first: hashes of the plan, and fedmvp's version{sums}"
    yield Finding("would leave", True, first)
    yield Finding(
        "stays here", True, "images, class names, attribute texts, paths, texts of errors, logs"
    )
