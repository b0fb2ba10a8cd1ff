"""Builds the wheel and the source archive (PEP 517), with the standard library alone.

Cargo builds the C library, which goes into the wheel. SHMCOMM_LIBRARY names one that is built
already. A source archive has the sources of the library in its directory rust/.
"""

import base64
import gzip
import hashlib
import io
import os
import re
import subprocess
import sysconfig
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUNDLED = HERE / "rust"

# What cargo needs to build the library: the workspace names all its members.
RUST = [
    ".cargo",
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "src",
    "core",
    "bench",
    "cli",
    "fuzz",
]
LICENCES = ["LICENSE-MIT", "LICENSE-APACHE"]
OWN = ["pyproject.toml", "backend.py", "README.md", "shmcomm", "tests"]

# 1980, the first year of a zip archive: the same sources are the same archive.
TIME = (1980, 1, 1, 0, 0, 0)


def _rust():
    return BUNDLED if BUNDLED.exists() else HERE.parent


def _field(name):
    text = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(rf'^{name} = "(.*)"$', text, re.MULTILINE)[1]


def _stem():
    return f"{_field('name')}-{_field('version')}"


def _metadata():
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {_field('name')}",
        f"Version: {_field('version')}",
        f"Summary: {_field('description')}",
        f"License: {_field('license')}",
        f"Requires-Python: {_field('requires-python')}",
    ]
    text = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    lines += [f"Classifier: {each}" for each in re.findall(r'^    "(.* :: .*)",$', text, re.MULTILINE)]
    lines += ["Description-Content-Type: text/markdown", ""]
    return "\n".join(lines) + "\n" + (HERE / "README.md").read_text(encoding="utf-8")


def _library():
    """The shared library, built if need be."""
    built = os.environ.get("SHMCOMM_LIBRARY")
    if built:
        return Path(built)
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_BUILD_TARGET"}
    command = [os.environ.get("CARGO", "cargo"), "build", "--release", "--locked"]
    command += ["--package", "libshmcomm", "--target-dir", "target"]
    try:
        subprocess.run(command, cwd=_rust(), env=environment, check=True)
    except FileNotFoundError:
        raise SystemExit("there is no cargo: install Rust from https://rustup.rs") from None
    return _rust() / "target/release/libshmcomm.so"


def _files(root, names):
    """Pairs of a path below the root and the file there, without what builds and tests leave."""
    for name in names:
        top = root / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            parts = file.relative_to(root).parts
            skipped = "__pycache__" in parts or "target" in parts or file.suffix == ".so"
            if file.is_file() and not skipped:
                yield "/".join(parts), file


def _tag(library):
    """Where the library can be loaded: PEP 600 has names for the versions of glibc, by its symbols."""
    system, _, machine = sysconfig.get_platform().partition("-")
    versions = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)", library)]
    if versions:
        system = f"manylinux_2_{max(versions)}"
    return f"py3-none-{system}_{machine}"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    library = _library().read_bytes()
    tag = _tag(library)
    info = f"{_stem()}.dist-info"
    contents = [(name, file.read_bytes()) for name, file in _files(HERE, ["shmcomm"])]
    contents += [
        ("shmcomm/libshmcomm.so", library),
        (f"{info}/METADATA", _metadata().encode()),
        (
            f"{info}/WHEEL",
            f"Wheel-Version: 1.0\nGenerator: shmcomm\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        ),
    ]
    for name, file in _files(_rust(), LICENCES):
        contents.append((f"{info}/licenses/{name}", file.read_bytes()))
    record = ""
    for name, data in contents:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        record += f"{name},sha256={digest},{len(data)}\n"
    contents.append((f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()))
    wheel = f"{_stem()}-{tag}.whl"
    with zipfile.ZipFile(Path(wheel_directory) / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents:
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
            archive.writestr(entry, data)
    return wheel


def build_sdist(sdist_directory, config_settings=None):
    contents = [(name, file.read_bytes()) for name, file in _files(HERE, OWN)]
    rust = [*RUST, *LICENCES]
    contents += [(f"rust/{name}", file.read_bytes()) for name, file in _files(_rust(), rust)]
    contents.append(("PKG-INFO", _metadata().encode()))
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in contents:
            entry = tarfile.TarInfo(f"{_stem()}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    archive_name = f"{_stem()}.tar.gz"
    packed = gzip.compress(unpacked.getvalue(), mtime=0)
    (Path(sdist_directory) / archive_name).write_bytes(packed)
    return archive_name
