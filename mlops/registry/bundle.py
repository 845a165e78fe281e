"""A model bundle: the folder that a registered version holds, verified file by file before anything is served from it.

    <root>/<name>/champion.json          the pointer: which version serves, and the digest of its manifest
    <root>/<name>/<version>/manifest.json   names every file with its SHA-256, so one digest covers the whole
    <root>/<name>/<version>/int8.onnx …

Whoever publishes tags the version with the manifest's digest; whoever pulls compares. Folders and the pointer appear
by rename, so a reader sees all of a bundle or nothing of it.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mlops.folders import entries, held, stamp, write_whole

MANIFEST = "manifest.json"
POINTER = "champion.json"
LOCK = ".pointing"
INCOMING = ".incoming-"
"""What folders of bundles that are still being copied begin with."""
SCHEMA = 1
EXTRA = ("averages", "vad", "figures", "signature")
"""Files that only some models have."""


class BundleError(Exception):
    """A bundle is missing a file, or a file is not what its manifest says."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle.

    Attributes:
        folder: Where its files are.
        name: Name of the registered model.
        version: Its version in the registry.
        digest: SHA-256 of the manifest, hex.
        architecture: Which code reads the graphs' outputs.
        graphs: File of the ONNX graph of each precision.
        golden: File (npz) with an input and the outputs that each graph must give for it.
        averages: File (npz) of the averages of people that the style `averages` paints; None where none were made.
        vad: ONNX file of what finds speech, which a voice model works with; None for a model of faces.
        figures: JSON file of what was measured of each style, by style and name; None where nothing was.
        signature: JSON file of the MLflow signature of a generic model; None for a model of faces or voices.
    """

    folder: Path
    name: str
    version: str
    digest: str
    architecture: str
    graphs: Mapping[str, Path]
    golden: Path
    averages: Path | None = None
    vad: Path | None = None
    figures: Path | None = None
    signature: Path | None = None


def write_manifest(
    folder: Path,
    name: str,
    architecture: str,
    graphs: Mapping[str, str],
    golden: str,
    averages: str | None = None,
    vad: str | None = None,
    figures: str | None = None,
    signature: str | None = None,
) -> str:
    """Write the manifest over files that lie in the folder already; returns its digest."""
    extra = {
        part: file for part, file in zip(EXTRA, (averages, vad, figures, signature), strict=True) if file is not None
    }
    files = {file: _digest(folder / file) for file in sorted({*graphs.values(), golden, *extra.values()})}
    manifest = {
        "schema": SCHEMA,
        "name": name,
        "architecture": architecture,
        "graphs": dict(sorted(graphs.items())),
        "golden": golden,
        **extra,
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return _digest(folder / MANIFEST)


def open_bundle(folder: Path, version: str, digest: str | None = None) -> Bundle:
    """Verify every file of a bundle.

    Args:
        folder: The bundle's folder.
        version: Its version in the registry.
        digest: What the manifest's SHA-256 must be; None takes any, which is for a bundle of one's own making.

    Raises:
        BundleError: A file is missing or another than the manifest says, or the manifest is.
    """
    try:
        found = _digest(folder / MANIFEST)
        if digest is not None and found != digest:
            raise BundleError(f"the manifest of version {version} has digest {found}, the registry says {digest}")
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            raise BundleError(f"bundles of schema {manifest['schema']} are unknown here, only {SCHEMA}")
        for file, expected in manifest["files"].items():
            if Path(file).name != file:
                raise BundleError(f"{file!r} is no plain file name")
            if _digest(folder / file) != expected:
                raise BundleError(f"{file} of version {version} is not the file that was registered")
        extra = {part: manifest[part] for part in EXTRA if part in manifest}
        listed = {*manifest["graphs"].values(), manifest["golden"], *extra.values()}
        if not listed <= manifest["files"].keys():
            raise BundleError(
                f"the manifest of version {version} has no digest for {listed - manifest['files'].keys()}"
            )
        graphs = {precision: folder / file for precision, file in manifest["graphs"].items()}
        golden = folder / manifest["golden"]
        parts = {part: folder / file for part, file in extra.items()}
        return Bundle(folder, manifest["name"], version, found, manifest["architecture"], graphs, golden, **parts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"the bundle of version {version} cannot be read: {error}") from error


def current(root: Path, name: str) -> Bundle | None:
    """Open the bundle that the pointer names; None where there is no pointer yet.

    Raises:
        BundleError: The pointer or the bundle is damaged.
    """
    pointer = _read_pointer(root, name)
    if pointer is None:
        return None
    version, digest = pointer
    return open_bundle(root / name / version, version, digest)


def pointer_stamp(root: Path, name: str) -> str | None:
    """Give a text that changes whenever the pointer does, for polling; None where there is no pointer."""
    return stamp(root / name / POINTER)


def place(source: Path, root: Path, name: str, version: str, digest: str) -> Bundle:
    """Verify a downloaded bundle and move a copy into place; the pointer stays as it was.

    A version that lies there already and is what the registry promises is left alone: it may be served from right now.

    Raises:
        BundleError: The source is not what the registry promises.
    """
    there = on_disk(root, name, version, digest)
    if there is not None:
        return there
    folder = root / name / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _alone(root, name):
            outer = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder.parent, prefix=INCOMING)))
            stack.enter_context(held(outer))
        incoming = outer / version
        shutil.copytree(source, incoming)
        if open_bundle(incoming, version, digest).name != name:
            raise BundleError(f"version {version} of {name} holds a bundle of another model")
        _world_readable(incoming)
        with _alone(root, name):
            # Another process may have been quicker, and its copy be served from right now.
            there = on_disk(root, name, version, digest)
            if there is None:
                if folder.exists():
                    shutil.rmtree(folder)
                incoming.rename(folder)
    return there or open_bundle(folder, version, digest)


def install(source: Path, root: Path, name: str, version: str, digest: str) -> Bundle:
    """Verify a downloaded bundle, move a copy into place and point at it.

    Raises:
        BundleError: The source is not what the registry promises; the pointer stays as it was.
    """
    bundle = place(source, root, name, version, digest)
    point(root, name, version, digest)
    return bundle


def remove_left(root: Path) -> None:
    """Remove what processes left that were killed while they copied a bundle; what one copies right now stays."""
    for model in (model for model in entries(root) if entries(model, f"{INCOMING}*")):
        with _alone(root, model.name):
            for left in entries(model, f"{INCOMING}*"):
                with suppress(FileNotFoundError, BlockingIOError), held(left, wait=False):
                    shutil.rmtree(left, ignore_errors=True)


def on_disk(root: Path, name: str, version: str, digest: str) -> Bundle | None:
    """Open a version that lies in the folder of bundles; None where it does not, or is not what it must be."""
    try:
        bundle = open_bundle(root / name / version, version, digest)
    except BundleError:
        return None
    return bundle if bundle.name == name else None


def point(root: Path, name: str, version: str, digest: str) -> None:
    """Make a version that lies in the folder of bundles the one that serves."""
    with _alone(root, name):
        _write_pointer(root, name, version, digest)


def point_from(before: tuple[str, str] | None, root: Path, name: str, version: str, digest: str) -> bool:
    """Point at a version where the pointer still names what it named before; says whether it did.

    Args:
        before: What `installed` gave when it was decided to point.
        root: Folder of the bundles.
        name: Name of the registered model.
        version: Version that lies there.
        digest: Digest of its manifest.

    Raises:
        BundleError: The pointer is damaged.
    """
    with _alone(root, name):
        if _read_pointer(root, name) != before:
            return False
        _write_pointer(root, name, version, digest)
    return True


def installed(root: Path, name: str) -> tuple[str, str] | None:
    """Give version and manifest digest that the pointer names, unverified and cheap; None where there is none.

    Raises:
        BundleError: The pointer is damaged.
    """
    return _read_pointer(root, name)


def _read_pointer(root: Path, name: str) -> tuple[str, str] | None:
    try:
        pointer = json.loads((root / name / POINTER).read_text(encoding="utf-8"))
        version, digest = str(pointer["version"]), str(pointer["digest"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"the pointer {POINTER} of {name} cannot be read: {error}") from error
    if not version.isalnum():
        raise BundleError(f"the pointer {POINTER} of {name} names no version")
    return version, digest


@contextmanager
def _alone(root: Path, name: str) -> Iterator[None]:
    """Keep every other process from changing what is there of a model meanwhile; readers are not kept waiting."""
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / LOCK).touch()
    with held(root / name / LOCK):
        yield


def _write_pointer(root: Path, name: str, version: str, digest: str) -> None:
    write_whole(root / name / POINTER, json.dumps({"version": version, "digest": digest}) + "\n")


def _world_readable(folder: Path) -> None:
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
