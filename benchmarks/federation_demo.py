"""``make federation-demo``: a server and three sites on this machine, with the embedded images.

Each site has animals of its own, in all drawing styles; none knows those of another. The commands
are those of the how-to, in processes of their own, over mutual TLS on loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT / "data" / "emoji" / "animals.zip"
RECORDED = ROOT / "fedmvp" / "attributes" / "recorded" / "animals.jsonl"
_DEMO = Path(".fedmvp/federation-demo")
SITES = ("north", "south", "east")
CLASSES, ROUNDS, PORT = 12, 6, 8042
GRACE_S = 30


def site_trees(folder: Path, sites: Sequence[str] = SITES, classes: int = CLASSES) -> None:
    """Give each site some classes nobody else has, and their recorded attributes."""
    with RECORDED.open(encoding="utf-8") as file:
        texts = {entry["class"]: entry["attributes"] for entry in map(json.loads, file)}
    with zipfile.ZipFile(ARCHIVE) as archive:
        images: dict[str, list[str]] = defaultdict(list)
        for name in sorted(archive.namelist()):
            _, category, _ = name.split("/")
            images[category.replace("-", " ")].append(name)
        # Those that most styles draw, so that each site has enough of each.
        usual = sorted(
            (name for name in images if name in texts), key=lambda name: (-len(images[name]), name)
        )
        for number, site in enumerate(sites):
            own = sorted(usual[number :: len(sites)][:classes])
            for category in own:
                target = folder / site / "images" / category
                target.mkdir(parents=True)
                for name in images[category]:
                    (target / f"{name.split('/')[0]}.png").write_bytes(archive.read(name))
            attributes = {category: texts[category] for category in own}
            (folder / site / "attributes.json").write_text(json.dumps(attributes), encoding="utf-8")


def command(*words: str | Path) -> list[str]:
    """Return a command line of ``fedmvp``."""
    return [sys.executable, "-c", "from fedmvp.cli import app; app()", *map(str, words)]


def run(*words: str | Path) -> None:
    """Run a command to its end."""
    print("$ fedmvp", *words, flush=True)
    subprocess.run(command(*words), check=True)


def main() -> None:
    """Make the federation, run it, and print what came of it."""
    began = time.monotonic()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _DEMO
    if folder == _DEMO:  # of the run before; a folder somebody names is theirs
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        print(f"error: {folder} exists; hint: name one that does not", file=sys.stderr)
        raise SystemExit(2)
    site_trees(folder)
    made = folder / "federation"
    sites = [word for site in SITES for word in ("--site", site)]
    options = ("--method", "promptfl", "--rounds", str(ROUNDS), "--port", str(PORT))
    run("federation", "init", made, "--host", "localhost", *sites, *options)
    for site in SITES:
        texts = folder / site / "attributes.json"
        trees = ("--images", folder / site / "images", "--attributes", texts)
        run("site", "init", made / "kits" / site, *trees)
    run("site", "check", made / "kits" / SITES[0], "--offline")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    joined = [
        subprocess.Popen(
            command("site", "join", made / "kits" / site),
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for site in SITES
    ]
    try:
        print("$ fedmvp federation serve", made, flush=True)
        served = subprocess.run(command("federation", "serve", made), env=environment)
    finally:
        for process in joined:
            process.send_signal(signal.SIGINT)
        for process in joined:
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
    if served.returncode:
        sys.exit(served.returncode)
    run("federation", "status", made)
    report(made)
    print(f"{time.monotonic() - began:.0f} s; all of it is in {folder}")


def report(made: Path) -> None:
    """Print the sites' counts, added up by the server."""
    counts = json.loads((made / "results" / "counts.json").read_text(encoding="utf-8"))
    for site, groups in counts["sites"].items():
        for group, numbers in groups.items():
            print(f"{site:6} {group:6} {numbers['right'][0]:3} of {numbers['total'][0]:3} right")
    for group, accuracy in counts["metrics"].items():
        print(f"all    {group:6} {accuracy:.1%}")


if __name__ == "__main__":
    main()
