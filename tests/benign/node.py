"""node.py SERVER DIRECTORY: the requests of a scheduler, of two kubelets and of an operator, under their own identities.

Nodes are registered and keep their leases and status; pods are bound, reported as running, and their jobs as done; what a pod
mounts is read, and a token is asked for it, bound to it, as kubelets do. No container runs. Ends when it is killed.
"""
import http.client, json, os, ssl, sys, time
from urllib.parse import urlparse

server, directory = urlparse(sys.argv[1]), sys.argv[2]
NODES = ["node-1", "node-2"]


class Client:
    def __init__(self, name, agent):
        self.context = ssl.create_default_context(cafile=f"{directory}/pki/ca.crt")
        self.token, self.agent = None, agent
        if os.path.exists(f"{directory}/{name}.crt"):
            self.context.load_cert_chain(f"{directory}/{name}.crt", f"{directory}/{name}.key")

    def ask(self, method, path, body=None, kind="application/json"):
        connection = http.client.HTTPSConnection(server.hostname, server.port, context=self.context, timeout=20)
        headers = {"User-Agent": self.agent, "Content-Type": kind, "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else {}
        finally:
            connection.close()


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())


def conditions(ready):
    at = now()[:19] + "Z"
    kinds = {"Ready": ready, "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
    return [{"type": k, "status": v, "lastHeartbeatTime": at, "lastTransitionTime": at, "reason": "Kubelet"} for k, v in kinds.items()]


class Kubelet:
    def __init__(self, name, number):
        self.name, self.number = name, number
        self.client = Client(name, "kubelet/v1.34.4 (linux/amd64) kubernetes/6c1b8f8")
        self.address = 10
        self.seen = set()
        self.renewed = self.reported = 0

    def register(self):
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        self.client.ask("POST", "/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": self.name, "labels": labels}})
        self.status()
        self.client.ask("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", self.lease())

    def lease(self):
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now()}
        return {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": self.name, "namespace": "kube-node-lease"}, "spec": spec}

    def status(self):
        size = {"cpu": "8", "memory": "32Gi", "pods": "110"}
        addresses = [{"type": "InternalIP", "address": f"127.0.0.{10 + self.number}"}]
        # Nobody listens there: logs and the like fail at once, and nothing leaves this machine.
        endpoints = {"kubeletEndpoint": {"Port": 1}}
        body = {"status": {"capacity": size, "allocatable": size, "addresses": addresses, "daemonEndpoints": endpoints, "conditions": conditions("True")}}
        self.client.ask("PATCH", f"/api/v1/nodes/{self.name}/status", body, "application/strategic-merge-patch+json")

    def turn(self):
        if time.monotonic() - self.renewed > 10:
            self.renewed = time.monotonic()
            path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}"
            _, lease = self.client.ask("GET", path)
            if "metadata" in lease and lease.get("spec"):
                lease["spec"]["renewTime"] = now()
                self.client.ask("PUT", path, lease)
        if time.monotonic() - self.reported > 30:
            self.reported = time.monotonic()
            self.client.ask("GET", f"/api/v1/nodes/{self.name}?resourceVersion=0")
            self.status()
        _, pods = self.client.ask("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}")
        for pod in pods.get("items", []):
            self.sync(pod)

    def sync(self, pod):
        meta, spec = pod["metadata"], pod["spec"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if meta.get("deletionTimestamp"):
            options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
            self.client.ask("DELETE", path, options)
            return
        if meta["uid"] in self.seen:
            return
        self.seen.add(meta["uid"])
        self.mounts(meta, spec)
        done = spec.get("restartPolicy") != "Always" and any(o.get("kind") == "Job" for o in meta.get("ownerReferences", [{}]))
        self.address += 1
        at = now()[:19] + "Z"
        state = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at}} if done else {"running": {"startedAt": at}}
        statuses = [{"name": c["name"], "image": c["image"], "imageID": "", "ready": not done, "started": True, "restartCount": 0, "state": state} for c in spec["containers"]]
        ready = "False" if done else "True"
        kinds = [{"type": k, "status": ready, "lastTransitionTime": at} for k in ["Ready", "ContainersReady"]] + [{"type": k, "status": "True", "lastTransitionTime": at} for k in ["Initialized", "PodScheduled"]]
        address = f"10.244.{self.number}.{self.address % 250}"
        status = {"phase": "Succeeded" if done else "Running", "podIP": address, "podIPs": [{"ip": address}], "startTime": at, "conditions": kinds, "containerStatuses": statuses}
        self.client.ask("PATCH", path + "/status", {"metadata": {"uid": meta["uid"]}, "status": status}, "application/strategic-merge-patch+json")
        event = {"kind": "Event", "apiVersion": "v1", "metadata": {"name": f"{meta['name']}.{meta['uid'][:8]}", "namespace": meta["namespace"]},
                 "involvedObject": {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
                 "reason": "Started", "message": "Started container", "type": "Normal", "source": {"component": "kubelet", "host": self.name}, "firstTimestamp": at, "lastTimestamp": at, "count": 1}
        self.client.ask("POST", f"/api/v1/namespaces/{meta['namespace']}/events", event)

    def mounts(self, meta, spec):
        namespace = meta["namespace"]
        self.client.ask("GET", f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt")
        for container in spec["containers"]:
            for source in container.get("envFrom", []):
                if "secretRef" in source:
                    self.client.ask("GET", f"/api/v1/namespaces/{namespace}/secrets/{source['secretRef']['name']}")
            for variable in container.get("env", []):
                wanted = variable.get("valueFrom", {}).get("secretKeyRef")
                if wanted:
                    self.client.ask("GET", f"/api/v1/namespaces/{namespace}/secrets/{wanted['name']}")
        bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
        request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 3607, "boundObjectRef": bound}}
        self.client.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{spec.get('serviceAccountName', 'default')}/token", request)


class Scheduler:
    def __init__(self):
        self.client = Client("scheduler", "kube-scheduler/v1.34.4 (linux/amd64) kubernetes/6c1b8f8/scheduler")
        self.next = 0

    def turn(self):
        _, nodes = self.client.ask("GET", "/api/v1/nodes?resourceVersion=0")
        free = [n["metadata"]["name"] for n in nodes.get("items", []) if not n["spec"].get("unschedulable")]
        _, pods = self.client.ask("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3D%2Cstatus.phase%3DPending")
        for pod in pods.get("items", []):
            meta = pod["metadata"]
            self.next += 1
            node = self.wanted(pod) or free[self.next % len(free)]
            target = {"kind": "Binding", "apiVersion": "v1", "metadata": {"name": meta["name"], "uid": meta["uid"]}, "target": {"kind": "Node", "name": node}}
            self.client.ask("POST", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding", target)

    def wanted(self, pod):
        """The node of a DaemonSet's pod, which stands in its affinity."""
        terms = pod["spec"].get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
        for term in terms:
            for field in term.get("matchFields", []):
                return field["values"][0]
        return None


class Operator:
    """The pod of an operator: it looks at its own kind and at pods, keeps its lease and writes an event, by the token of its pod."""

    def __init__(self):
        self.client = Client("operator", "operator/v0.1.0 (linux/amd64) controller-runtime")

    def turn(self):
        path = f"{directory}/operator.token"
        if not os.path.exists(path):
            return
        with open(path) as file:
            self.client.token = file.read().strip()
        for what in ["/apis/tools.example.com/v1/widgets", "/api/v1/pods?labelSelector=app%3Doperator", "/api/v1/services?labelSelector=app%3Doperator"]:
            self.client.ask("GET", what)
        lease = "/apis/coordination.k8s.io/v1/namespaces/tools/leases"
        code, found = self.client.ask("GET", f"{lease}/operator")
        if code == 404:
            spec = {"holderIdentity": "operator-0", "leaseDurationSeconds": 15, "renewTime": now()}
            self.client.ask("POST", lease, {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "operator"}, "spec": spec})
        elif code == 200:
            found["spec"]["renewTime"] = now()
            self.client.ask("PUT", f"{lease}/operator", found)


kubelets = [Kubelet(name, number) for number, name in enumerate(NODES, 1)]
for kubelet in kubelets:
    kubelet.register()
scheduler, operator = Scheduler(), Operator()
while True:
    for part in [scheduler, operator, *kubelets]:
        try:
            part.turn()
        except Exception as error:  # the API server ends before this does
            print(f"{type(part).__name__}: {error}", flush=True)
    time.sleep(1)
