#!/usr/bin/env python3
"""oci_list.py IMAGE.tar    prints what an OCI archive holds, so that two can be compared: a line for each path, and the configuration.

A path has its kind, mode, owner, and the hash of its contents or its target; of /kubewitness, which two builds make differently, no hash."""
import gzip, hashlib, io, json, sys, tarfile

def main(path):
    with tarfile.open(path) as archive:
        blob = lambda described: archive.extractfile("blobs/" + described["digest"].replace(":", "/")).read()
        index = json.load(archive.extractfile("index.json"))
        manifest = json.loads(blob(index["manifests"][0]))
        config = json.loads(blob(manifest["config"]))["config"]
        paths = {}
        for layer in manifest["layers"]:
            data = blob(layer)
            data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            with tarfile.open(fileobj=io.BytesIO(data)) as files:
                for member in files:
                    name = "/" + member.name.removeprefix("./").strip("/")
                    if name != "/":
                        paths[name] = describe(name, member, files)
    for name in sorted(paths):
        print(name, paths[name])
    # An engine sets PATH in every image, which this one has no use for.
    env = [pair for pair in config.get("Env", []) if not pair.startswith("PATH=")]
    labels = {key: value for key, value in config.get("Labels", {}).items() if not key.startswith("io.buildah.")}
    print(json.dumps({"Entrypoint": config["Entrypoint"], "User": config["User"], "WorkingDir": config["WorkingDir"], "Env": env, "Labels": labels}, indent=1, sort_keys=True))

def describe(name, member, files):
    owner = f"{member.mode & 0o7777:o} {member.uid}:{member.gid}"
    if member.isdir():
        return f"directory {owner}"
    if member.issym():
        return f"link to {member.linkname}"
    content = "" if name == "/kubewitness" else hashlib.sha256(files.extractfile(member).read()).hexdigest()
    return f"file {owner} {content}"

main(sys.argv[1])
