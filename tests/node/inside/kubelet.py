"""A kubelet on the node, with containerd, an API server of its own, and pods that come and go as they do.

`/opt/testbed` holds the programs (enter.sh, NODE_MOUNTS); the node sees its cgroups as the root (NODE_CGROUP).
What kubelet writes goes to syslog under its name, as journald passes it on. Images are made here from Debian's busybox.
"""
import gzip
import hashlib
import io
import json
import os
import random
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from node import NODE4, run

HOME = "/run/kubernetes"
API = f"https://{NODE4}:6443"
# kubelet would write these for the whole machine, and says what the last one holds.
FILES = {"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1", "kernel/keys/root_maxkeys": "1000000",
         "kernel/keys/root_maxbytes": "25000000", "kernel/random/boot_id": "11111111-2222-4333-8444-555555555555"}
CONTAINERD = """
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.example.org/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
"""
CONFIG = f"""
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {NODE4}
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}}}
authorization: {{mode: Webhook}}
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDomain: cluster.local
clusterDNS: [10.96.0.10]
resolvConf: {HOME}/resolv.conf
healthzBindAddress: 127.0.0.1
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}}
serverTLSBootstrap: false
logging: {{verbosity: 2}}
"""
# The part of the CNI that pods of one node need: a pair of interfaces and a bridge. Speaks CNI 0.4.0 (cni.dev, SPEC.md).
PLUGIN = r"""#!/usr/bin/python3
import fcntl, json, os, subprocess, sys
def ip(*words): subprocess.run(["ip", *words], check=True, capture_output=True)
command, config = os.environ["CNI_COMMAND"], json.load(sys.stdin)
name, netns, key = os.path.basename(sys.argv[0]), os.environ.get("CNI_NETNS", ""), os.environ.get("CNI_CONTAINERID", "")[:11]
inside = ("nsenter", f"--net={netns}")
if command == "VERSION": print('{"cniVersion": "0.4.0", "supportedVersions": ["0.4.0"]}'); sys.exit()
if command == "ADD" and name == "loopback":
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
    print('{"cniVersion": "0.4.0"}')
elif command == "ADD":
    with open("/run/cni-last", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or 1) % 250 + 2
        file.truncate(0)
        file.write(str(last - 1))
    ip("link", "add", f"veth{key}", "mtu", "1500", "type", "veth", "peer", "name", "eth0", "netns", netns)
    ip("link", "set", f"veth{key}", "master", "cni0", "up")
    for words in (["addr", "add", f"10.244.0.{last}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["route", "add", "default", "via", "10.244.0.1"]):
        subprocess.run([*inside, "ip", *words], check=True, capture_output=True)
    print(json.dumps({"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": netns}], "ips": [{"version": "4", "interface": 0, "address": f"10.244.0.{last}/24", "gateway": "10.244.0.1"}]}))
elif command == "DEL" and name != "loopback":
    subprocess.run(["ip", "link", "del", f"veth{key}"], capture_output=True)
"""


def image(name, entrypoint):
    """Imports an image of one layer, Debian's static busybox (OCI image layout, opencontainers/image-spec)."""
    def tar(files):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, content in files.items():
                entry = tarfile.TarInfo(path)
                entry.mode = 0o755
                if isinstance(content, str):
                    entry.type, entry.linkname = tarfile.SYMTYPE, content
                else:
                    entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
        return packed.getvalue()

    def described(kind, blob, **more):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + hashlib.sha256(blob).hexdigest(), "size": len(blob), **more}

    with open("/bin/busybox", "rb") as file:
        layer = tar({"bin/busybox": file.read(), **{f"bin/{applet}": "busybox" for applet in ("sh", "sleep", "httpd", "cat", "test", "true", "false")}})
    packed = gzip.compress(layer, 6, mtime=0)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    manifest = json.dumps({"schemaVersion": 2, "config": described("config.v1+json", config), "layers": [described("layer.v1.tar+gzip", packed)]}).encode()
    index = {"schemaVersion": 2, "manifests": [described("manifest.v1+json", manifest, annotations={"io.containerd.image.name": name})]}
    blobs = {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": blob for blob in (config, packed, manifest)}
    with open("/tmp/image.tar", "wb") as file:
        file.write(tar({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode(), **blobs}))
    run("ctr", "-n", "k8s.io", "images", "import", "/tmp/image.tar")


class Kubelet:
    def __init__(self, node):
        self.node, self.tokens, self.count = node, {}, 0
        self.trust = ssl._create_unverified_context()  # a server that this program has just started on its own loopback

    # -- setting up --------------------------------------------------------------------------------------------------

    def start(self):
        os.makedirs(HOME, mode=0o700)
        run("mount", "--make-rshared", "/")
        for name in ("containerd", "kubelet"):
            os.makedirs(f"/var/lib/{name}", exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", "mode=755", name, f"/var/lib/{name}")
        for name, text in FILES.items():
            file = f"{HOME}/{name.replace('/', '.')}"
            with open(file, "w") as out:
                out.write(text + "\n")
            run("mount", "--bind", file, f"/proc/sys/{name}")
        run("ip", "addr", "add", f"{NODE4}/32", "dev", "lo")
        run("ip", "link", "add", "cni0", "type", "bridge")
        run("ip", "addr", "add", "10.244.0.1/24", "dev", "cni0")
        run("ip", "link", "set", "cni0", "up")
        run("ip", "route", "add", "unreachable", "default")
        with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")
        self.control_plane()
        self.containerd()
        self.kubelet()

    def control_plane(self):
        key = rsa.generate_private_key(65537, 2048)
        encode = serialization.Encoding.PEM
        self.write("token.key", key.private_bytes(encode, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode())
        self.write("token.pub", key.public_key().public_bytes(encode, serialization.PublicFormat.SubjectPublicKeyInfo).decode())
        people = {"admin": ("admin", "system:masters"), "node": ("system:node:node-1", "system:nodes"), "manager": ("system:kube-controller-manager", "")}
        self.tokens = {name: os.urandom(16).hex() for name in people}
        self.write("tokens", "".join(f'{self.tokens[name]},{user},{name},"{group}"\n' for name, (user, group) in people.items()))
        for name in people:
            self.write(f"{name}.kubeconfig", json.dumps({
                "apiVersion": "v1", "kind": "Config", "current-context": "node", "contexts": [{"name": "node", "context": {"cluster": "node", "user": name}}],
                "clusters": [{"name": "node", "cluster": {"server": API, "insecure-skip-tls-verify": True}}], "users": [{"name": name, "user": {"token": self.tokens[name]}}]}))
        with open("/etc/machine-id", "w") as file:
            file.write("0123456789abcdef0123456789abcdef\n")
        self.write("resolv.conf", "nameserver 10.96.0.10\n")
        self.spawn("/opt/testbed/etcd", f"--data-dir={HOME}/etcd", "--unsafe-no-fsync", "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
                   "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=default=http://127.0.0.1:2380")
        self.spawn("/opt/testbed/kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", f"--advertise-address={NODE4}", "--secure-port=6443",
                   "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
                   f"--cert-dir={HOME}/pki", f"--token-auth-file={HOME}/tokens", "--service-account-issuer=https://kubernetes.default.svc",
                   f"--service-account-key-file={HOME}/token.pub", f"--service-account-signing-key-file={HOME}/token.key")
        self.node.until(lambda: self.call("GET", "/readyz", ok=False) == "ok", "kube-apiserver is not ready", 120)
        self.spawn("/opt/testbed/kube-controller-manager", f"--kubeconfig={HOME}/manager.kubeconfig", f"--authentication-kubeconfig={HOME}/manager.kubeconfig",
                   f"--authorization-kubeconfig={HOME}/manager.kubeconfig", "--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
                   f"--service-account-private-key-file={HOME}/token.key", f"--root-ca-file={HOME}/pki/apiserver.crt", f"--flex-volume-plugin-dir={HOME}/flex")

    def containerd(self):
        os.makedirs("/opt/cni/bin")
        os.makedirs("/etc/cni/net.d")
        for name in ("loopback", "node-bridge"):
            with open(f"/opt/cni/bin/{name}", "w") as file:
                file.write(PLUGIN)
            os.chmod(f"/opt/cni/bin/{name}", 0o755)
        with open("/etc/cni/net.d/10-node.conflist", "w") as file:
            json.dump({"cniVersion": "0.4.0", "name": "node", "plugins": [{"type": "node-bridge"}]}, file)
        self.write("containerd.toml", CONTAINERD)
        self.spawn("containerd", "-c", f"{HOME}/containerd.toml")
        self.node.until(lambda: run("ctr", "version", check=False).returncode == 0, "containerd does not answer", 60)
        image("registry.example.org/pause:1", ["/bin/sleep", "1000000000"])
        image("registry.example.org/shop:1", ["/bin/sh", "-c"])

    def kubelet(self):
        """What kubelet says goes to syslog, as journald hands on what a unit writes: facility daemon, its name and pid."""
        self.write("kubelet.yaml", CONFIG)
        self.process = subprocess.Popen(["/opt/testbed/kubelet", f"--config={HOME}/kubelet.yaml", f"--kubeconfig={HOME}/node.kubeconfig", "--cert-dir=/var/lib/kubelet/pki",
                                         "--hostname-override=node-1", f"--node-ip={NODE4}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.node.children.append(self.process)
        logger = subprocess.Popen(["logger", "-t", "kubelet", "-p", "daemon.info", f"--id={self.process.pid}"], stdin=self.process.stdout)
        self.node.children.append(logger)
        self.process.stdout.close()
        self.node.done["kubelet starts"] += 1

        def ready():
            status = self.call("GET", "/api/v1/nodes/node-1", ok=False)
            return isinstance(status, dict) and any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("status", {}).get("conditions", []))
        self.node.until(ready, "the node is not Ready", 120)

    def write(self, name, text):
        with open(f"{HOME}/{name}", "w") as file:
            file.write(text)

    def spawn(self, *command):
        with open(f"{HOME}/{os.path.basename(command[0])}.log", "wb") as log:
            self.node.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    # -- what its people do ------------------------------------------------------------------------------------------

    def call(self, method, path, body=None, ok=True):
        """One request of the administrator; what refuses it is an error, or none without `ok`."""
        request = urllib.request.Request(API + path, method=method, data=json.dumps(body).encode() if body else None,
                                         headers={"Authorization": f"Bearer {self.tokens['admin']}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, context=self.trust, timeout=20) as answer:
                text = answer.read().decode()
                return json.loads(text) if text.startswith("{") else text
        except OSError as error:
            if not ok:
                return None
            told = error.read().decode()[:400] if isinstance(error, urllib.error.HTTPError) else ""
            raise RuntimeError(f"{method} {path}: {error} {told}") from error

    def create(self, kind, name, **more):
        self.call("POST", f"/api/v1/namespaces/default/{kind}s", {"metadata": {"name": name}, **more})

    def pod(self, name, script, restart="Always", image="registry.example.org/shop:1", token=False, volumes=(), **container):
        mounts = [{"name": f"v{n}", "mountPath": f"/mnt/{n}"} for n in range(len(volumes))]
        self.create("pod", name, spec={
            "nodeName": "node-1", "restartPolicy": restart, "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": token,
            "volumes": [{"name": f"v{n}", **volume} for n, volume in enumerate(volumes)],
            "containers": [{"name": "app", "image": image, "imagePullPolicy": "IfNotPresent", "args": [script], "volumeMounts": mounts, **container}]})

    def arrive(self, chance):
        """One pod of a kind that clusters have; its name, and for how many seconds it stays."""
        self.count += 1
        kind = chance.choices(["shop", "job", "crash", "probe", "absent", "late"], [40, 30, 8, 8, 6, 8])[0]
        name = f"{kind}-{chance.randrange(16**8):08x}-{self.count}"
        serve = "trap 'exit 0' TERM; httpd -p 8080 -h / & while :; do sleep 1; done"
        self.node.done[f"pods: {kind}"] += 1
        if kind == "shop":
            self.pod(name, serve, token=True, volumes=[{"configMap": {"name": "settings"}}, {"secret": {"secretName": "shop"}}, {"emptyDir": {}}],
                     readinessProbe={"httpGet": {"path": "/bin/busybox", "port": 8080}, "periodSeconds": 1}, resources={"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}})
            return name, chance.uniform(10, 40)
        if kind == "job":
            self.pod(name, "sleep 1; exit 0", restart="Never", volumes=[{"emptyDir": {}}])
            return name, chance.uniform(5, 10)
        if kind == "crash":
            self.pod(name, "sleep 1; exit 1", token=True)
            return name, chance.uniform(15, 40)
        if kind == "probe":
            self.pod(name, serve, livenessProbe={"exec": {"command": ["test", "-e", "/never"]}, "periodSeconds": 2, "failureThreshold": 3})
            return name, chance.uniform(12, 25)
        if kind == "absent":
            self.pod(name, serve, image="registry.example.org/shop:not-built-yet")
            return name, chance.uniform(8, 20)
        # Its settings come after it.
        self.pod(name, serve, volumes=[{"configMap": {"name": name}}])
        threading.Timer(4, lambda: self.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": name}, "data": {"a": "b"}}, ok=False)).start()
        return name, chance.uniform(10, 20)

    def live(self):
        """Pods come and go until the node's day is over; twice kubelet is restarted, as an upgrade does."""
        chance = random.Random(20261102)
        self.node.until(lambda: self.call("GET", "/api/v1/namespaces/default/serviceaccounts/default", ok=False), "no service account", 60)
        self.create("configmap", "settings", data={"colour": "green"})
        self.create("secret", "shop", stringData={"word": os.urandom(8).hex()})
        leaving, begun, restarts = [], time.monotonic(), 0
        while not self.node.over():
            if len(leaving) < 12:
                name, stays = self.arrive(chance)
                leaving.append((time.monotonic() + stays, name))
            for end, name in [entry for entry in leaving if entry[0] < time.monotonic()]:
                self.call("DELETE", f"/api/v1/namespaces/default/pods/{name}", ok=False)
                leaving.remove((end, name))
            if time.monotonic() - begun > 150 * (restarts + 1) and restarts < 2:
                restarts += 1
                self.process.terminate()
                self.process.wait(30)
                self.kubelet()
            time.sleep(chance.uniform(1, 4))
        for _, name in leaving:
            self.call("DELETE", f"/api/v1/namespaces/default/pods/{name}", ok=False)
        time.sleep(4)
