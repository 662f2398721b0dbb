#!/usr/bin/env python3
"""sbom.py PACKAGES OUT.json    what the image is made of, as a CycloneDX 1.6 document.

The crates that the binary is built from (`cargo metadata`; those that only tests need are left out, those that run while it is
built stay in), each with its checksum of Cargo.lock, and the Debian packages that lie in PACKAGES.
The same Cargo.lock and packages give the same bytes: no time of writing, and a serial number made of the content.
"""
import hashlib
import json
import subprocess
import sys
import tomllib
import urllib.parse
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def reached(metadata):
    """The ids of all packages that the root needs but for tests alone (dev-dependencies)."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    found, ahead = {root: set()}, [root]
    while ahead:
        current = ahead.pop()
        for dependency in nodes[current]["deps"]:
            if all(kind["kind"] == "dev" for kind in dependency["dep_kinds"]):
                continue
            found[current].add(dependency["pkg"])
            if dependency["pkg"] not in found:
                found[dependency["pkg"]] = set()
                ahead.append(dependency["pkg"])
    return root, found


def crates():
    """The root component, the components of its crates, and who needs whom, all by purl."""
    target = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    target = next(line.removeprefix("host: ") for line in target.splitlines() if line.startswith("host: "))
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=HERE).stdout)
    lock = tomllib.loads((HERE / "Cargo.lock").read_text())
    checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in lock["package"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    root, found = reached(metadata)
    purl = {key: f"pkg:cargo/{packages[key]['name']}@{packages[key]['version']}" for key in found}

    def component(key):
        package = packages[key]
        about = {"type": "application" if key == root else "library", "bom-ref": purl[key], "name": package["name"],
                 "version": package["version"], "purl": purl[key]}
        if package["license"]:
            # Old crates write MIT/Apache-2.0, which means OR.
            about["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        checksum = checksums.get((package["name"], package["version"]))
        if checksum:
            about["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return about

    needs = [{"ref": purl[key], "dependsOn": sorted(purl[other] for other in found[key])} for key in found]
    return component(root), [component(key) for key in found if key != root], needs


def debian(directory):
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    release = {key: value.strip('"') for key, value in release.items()}
    for archive in sorted(Path(directory).glob("*.deb")):
        fields = subprocess.run(["dpkg-deb", "--show", "--showformat=${Package}\n${Version}\n${Architecture}", archive],
                                check=True, capture_output=True, text=True).stdout
        name, version, architecture = fields.split("\n")
        distribution = f"{release['ID']}-{release.get('VERSION_ID', '')}".rstrip("-")
        purl = f"pkg:deb/{release['ID']}/{name}@{urllib.parse.quote(version, safe='')}?arch={architecture}&distro={distribution}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
               "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(archive.read_bytes()).hexdigest()}]}


def main():
    packages, out = sys.argv[1:]
    root, components, needs = crates()
    system = list(debian(packages))
    if not system:
        raise SystemExit(f"sbom.py: {packages} holds no Debian packages: run `make image` first")
    components = sorted(components + system, key=lambda component: component["bom-ref"])
    next(entry for entry in needs if entry["ref"] == root["bom-ref"])["dependsOn"] += [component["bom-ref"] for component in system]
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": root},
                "components": components, "dependencies": sorted(needs, key=lambda entry: entry["ref"])}
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = "urn:uuid:" + str(uuid.uuid5(uuid.NAMESPACE_URL, content))
    Path(out).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    print(f"{out}: {len(components)} components")


main()
