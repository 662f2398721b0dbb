#!/usr/bin/env python3
"""oci.py OUT.tar NAME:TAG --layer DIRECTORY... [--config JSON] [--level N]    writes an OCI image as one archive.

An image layout (opencontainers/image-spec) in a tar, which `ctr images import`, `skopeo copy oci-archive:` and `podman load`
take. Each directory becomes one layer, in order. The same trees give the same bytes: entries are sorted, belong to root and
carry the time SOURCE_DATE_EPOCH (0). Prints the digest of the manifest. Needs Python's standard library alone.
"""
import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import platform
import tarfile

EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
MEDIA = "application/vnd.oci.image."


def entry(archive, name, path):
    status = os.lstat(path)
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = status.st_mode & 0o7777, EPOCH
    if os.path.islink(path):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
        archive.addfile(info)
    elif os.path.isdir(path):
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    elif os.path.isfile(path):
        info.size = status.st_size
        with open(path, "rb") as file:
            archive.addfile(info, file)
    else:
        raise SystemExit(f"oci.py: {path} is neither file, directory nor link")


def layer(root):
    """The tree below `root` as an uncompressed tar, parents before children."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for directory, directories, files in os.walk(root):
            directories.sort()
            linked = [name for name in directories if os.path.islink(os.path.join(directory, name))]
            if directory != root:
                entry(archive, os.path.relpath(directory, root), directory)
            for name in sorted(files + linked):
                path = os.path.join(directory, name)
                entry(archive, os.path.relpath(path, root), path)
    return packed.getvalue()


def digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def described(kind, blob, **more):
    return {"mediaType": MEDIA + kind, "digest": digest(blob), "size": len(blob), **more}


def text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def image(name, layers, config, level):
    """All files of the layout by name, and the manifest's digest."""
    created = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    packed = [gzip.compress(raw, level, mtime=0) for raw in layers]
    about = text({
        "architecture": machine, "os": "linux", "created": created, "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest(raw) for raw in layers]},
        "history": [{"created": created, "created_by": "oci.py"} for _ in layers],
    })
    manifest = text({
        "schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json", "config": described("config.v1+json", about),
        "layers": [described("layer.v1.tar+gzip", blob) for blob in packed],
    })
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rsplit(":", 1)[-1]}
    index = text({
        "schemaVersion": 2, "mediaType": MEDIA + "index.v1+json",
        "manifests": [described("manifest.v1+json", manifest, annotations=names, platform={"architecture": machine, "os": "linux"})],
    })
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    for blob in (about, *packed, manifest):
        files["blobs/sha256/" + digest(blob)[7:]] = blob
    return files, digest(manifest)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("--layer", action="append", required=True)
    parser.add_argument("--config", type=json.loads, default={})
    parser.add_argument("--level", type=int, default=6)
    options = parser.parse_args()
    files, manifest = image(options.name, [layer(root) for root in options.layer], options.config, options.level)
    unfinished = options.out + ".new"
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, blob in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(blob), 0o644, EPOCH
            archive.addfile(info, io.BytesIO(blob))
    os.replace(unfinished, options.out)
    print(manifest)


main()
