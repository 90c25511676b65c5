#!/usr/bin/env python3
"""Holds rendered manifests to this project's rules for running on Kubernetes.

usage: policy.py [--base] FILE      what kustomize wrote; --base: it has no image, keys, data yet, and must not have
       policy.py --self-test FILE   breaks each rule in a copy, and expects that it is named
       policy.py --list             the rules

A line for each violation: the rule, the resource, what is wrong. The exit code is 0 only if there is none. It needs
PyYAML.
"""
import argparse
import base64
import copy
import re
import sys

import yaml

RULES = {}
# Label values that hold for a pod: name of its template.
COORDINATOR, WORKER = "coordinator", "worker"
NAME = "app.kubernetes.io/name"
PLACEHOLDER = "set-by-overlay"


def rule(text):
    def register(function):
        RULES[function.__name__.replace("_", "-")] = (text, function)
        return function

    return register


# --- Looking at manifests


class Manifests:
    def __init__(self, documents, is_base=False):
        self.all = [document for document in documents if document]
        self.is_base = is_base

    def of(self, *kinds):
        return [document for document in self.all if document["kind"] in kinds]

    def named(self, kind, name):
        return next((d for d in self.of(kind) if d["metadata"]["name"] == name), None)

    @property
    def workloads(self):
        return self.of("Deployment", "StatefulSet", "DaemonSet", "Job")

    def workload(self, name):
        return next((w for w in self.workloads if template_labels(w).get(NAME) == name), None)


def title(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def pod(workload):
    return workload["spec"]["template"]["spec"]


def template_labels(workload):
    return workload["spec"]["template"]["metadata"].get("labels", {})


def containers(workload, kinds=("initContainers", "containers")):
    return [container for kind in kinds for container in pod(workload).get(kind, [])]


def main_container(workload):
    return pod(workload)["containers"][0]


def arguments(container):
    """The flags of a container as {name: value}; a flag without a value is there as ''."""
    found = {}
    for argument in container.get("args", []):
        if argument.startswith("--"):
            name, _, value = argument[2:].partition("=")
            found[name] = value
    return found


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def selects(selector, labels):
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        key, operator, values = expression["key"], expression["operator"], expression.get("values", [])
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[operator]
        if not holds:
            return False
    return True


def selected(manifests, selector):
    return [w for w in manifests.workloads if selects(selector, template_labels(w))]


def container_ports(workload):
    return {
        port.get("name", str(port["containerPort"])): port["containerPort"]
        for container in pod(workload)["containers"]
        for port in container.get("ports", [])
    }


def each_container(manifests, check):
    """The violations of a check of single containers: it returns what is wrong, or nothing."""
    for workload in manifests.workloads:
        for container in containers(workload):
            wrong = check(container, pod(workload))
            if wrong:
                yield workload, f"container {container['name']}: {wrong}"


def volume_of(workload, container, path):
    """The volume that is mounted nearest above a path."""
    mounts = [m for m in container.get("volumeMounts", []) if (path + "/").startswith(m["mountPath"].rstrip("/") + "/")]
    if not mounts:
        return None
    name = max(mounts, key=lambda mount: len(mount["mountPath"]))["name"]
    claims = workload["spec"].get("volumeClaimTemplates", [])
    if any(claim["metadata"]["name"] == name for claim in claims):
        return {"name": name, "volumeClaimTemplate": {}}
    return next((volume for volume in pod(workload).get("volumes", []) if volume["name"] == name), None)


def megabytes(quantity):
    factors = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "": 1}
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(quantity)).groups()
    return float(number) * factors[unit] / 2**20


def cores(quantity):
    text = str(quantity)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


# --- What a process may do


@rule("every pod runs as a user that is not root, and no container takes that back")
def non_root(manifests):
    for workload in manifests.workloads:
        context = pod(workload).get("securityContext", {})
        if context.get("runAsNonRoot") is not True:
            yield workload, "runAsNonRoot is not true"
        if not context.get("runAsUser") or not context.get("runAsGroup"):
            yield workload, "runAsUser or runAsGroup is missing or 0"

    def check(container, _):
        own = container.get("securityContext", {})
        if own.get("runAsNonRoot") is False or own.get("runAsUser") == 0 or own.get("runAsGroup") == 0:
            return "goes back to root"

    yield from each_container(manifests, check)


@rule("every container's own file system is read-only")
def read_only_root(manifests):
    yield from each_container(
        manifests,
        lambda container, _: container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True
        and "readOnlyRootFilesystem is not true",
    )


@rule("no container can get more rights than it has")
def no_privilege_escalation(manifests):
    def check(container, _):
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            return "allowPrivilegeEscalation is not false"
        if context.get("privileged"):
            return "it is privileged"

    yield from each_container(manifests, check)


@rule("every container drops all capabilities and adds none")
def dropped_capabilities(manifests):
    def check(container, _):
        capabilities = container.get("securityContext", {}).get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []) or capabilities.get("add"):
            return f"capabilities are {capabilities}"

    yield from each_container(manifests, check)


@rule("every container has the runtime's seccomp profile")
def seccomp(manifests):
    def check(container, spec):
        contexts = [container.get("securityContext", {}), spec.get("securityContext", {})]
        profile = next((c["seccompProfile"] for c in contexts if "seccompProfile" in c), {})
        if profile.get("type") != "RuntimeDefault":
            return f"seccompProfile is {profile.get('type')}"

    yield from each_container(manifests, check)


@rule("no pod sees the node: its network, processes or files")
def no_host(manifests):
    for workload in manifests.workloads:
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod(workload).get(key):
                yield workload, f"{key} is set"
        for volume in pod(workload).get("volumes", []):
            if "hostPath" in volume:
                yield workload, f"volume {volume['name']} is a hostPath"
        for container in containers(workload):
            if any("hostPort" in port for port in container.get("ports", [])):
                yield workload, f"container {container['name']} has a hostPort"


@rule("no pod gets a token for the cluster's API")
def no_default_token(manifests):
    for workload in manifests.workloads:
        if pod(workload).get("automountServiceAccountToken") is not False:
            yield workload, "automountServiceAccountToken is not false"


@rule("no pod gets variables named after services, which could pass for flags (NL_…)")
def no_service_links(manifests):
    for workload in manifests.workloads:
        if pod(workload).get("enableServiceLinks") is not False:
            yield workload, "enableServiceLinks is not false"


@rule("everything is in one namespace, which admits restricted pods alone")
def namespace(manifests):
    spaces = manifests.of("Namespace")
    if len(spaces) != 1:
        return (yield None, f"{len(spaces)} namespaces")
    if spaces[0]["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
        yield spaces[0], "pod-security.kubernetes.io/enforce is not restricted"
    for document in manifests.all:
        if document["kind"] != "Namespace" and document["metadata"].get("namespace") != spaces[0]["metadata"]["name"]:
            yield document, f"is in the namespace {document['metadata'].get('namespace')}"


# --- What it runs, and with how much


@rule("every image has a tag or digest, which is not latest")
def image_tag(manifests):
    def check(container, _):
        image = container["image"]
        name, _, digest = image.partition("@")
        tag = name.rsplit("/", 1)[-1].partition(":")[2]
        if not digest and tag in ("", "latest"):
            return f"image {image}"
        if tag == PLACEHOLDER and not manifests.is_base:
            return f"image {image}: the overlay has not set it"

    yield from each_container(manifests, check)


@rule("every container has requests and limits of CPU, memory and ephemeral storage")
def resources(manifests):
    def check(container, _):
        have = container.get("resources", {})
        for kind in ("requests", "limits"):
            for name in ("cpu", "memory", "ephemeral-storage"):
                if name not in have.get(kind, {}):
                    return f"no {name} in {kind}"
        for name, measure in (("cpu", cores), ("memory", megabytes), ("ephemeral-storage", megabytes)):
            if measure(have["requests"][name]) > measure(have["limits"][name]):
                return f"requests more {name} than its limit"

    yield from each_container(manifests, check)


@rule("a worker has as many threads as its limit of CPU says, not as the node has cores")
def threads(manifests):
    worker = manifests.workload(WORKER)
    if worker is None:
        return (yield None, "there are no workers")
    container = main_container(worker)
    variable = next((v for v in container.get("env", []) if v["name"] == "NL_THREADS"), {})
    reference = variable.get("valueFrom", {}).get("resourceFieldRef", {})
    if "threads" in arguments(container) or reference.get("resource") != "limits.cpu":
        yield worker, "NL_THREADS does not come from limits.cpu, or --threads is set beside it"


@rule("every emptyDir has a limit, within the pod's limit of storage or, in memory, of memory")
def scratch_limits(manifests):
    for workload in manifests.workloads:
        limits = main_container(workload).get("resources", {}).get("limits", {})
        sums = {"memory": 0.0, "ephemeral-storage": 0.0}
        for volume in pod(workload).get("volumes", []):
            if "emptyDir" not in volume:
                continue
            if "sizeLimit" not in volume["emptyDir"]:
                yield workload, f"volume {volume['name']} has no sizeLimit"
                continue
            kind = "memory" if volume["emptyDir"].get("medium") == "Memory" else "ephemeral-storage"
            sums[kind] += megabytes(volume["emptyDir"]["sizeLimit"])
        for kind, size in sums.items():
            if kind in limits and size > megabytes(limits[kind]):
                yield workload, f"emptyDirs of {size:.0f} MiB do not fit into {limits[kind]} of {kind}"


@rule("every program has /tmp to write to")
def writable_tmp(manifests):
    for workload in manifests.workloads:
        for container in pod(workload)["containers"]:
            volume = volume_of(workload, container, "/tmp")
            if volume is None or "emptyDir" not in volume:
                yield workload, f"container {container['name']} has no emptyDir at /tmp"


# --- How it is watched and ended


@rule("every program has startup, liveness and readiness probes: /healthz and /readyz")
def probes(manifests):
    for workload in manifests.workloads:
        for container in pod(workload)["containers"]:
            for kind, path in (
                ("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"),
            ):
                probe = container.get(kind, {})
                if probe.get("httpGet", {}).get("path") != path:
                    yield workload, f"container {container['name']}: {kind} does not ask {path}"
            startup = container.get("startupProbe", {})
            if startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3) < 60:
                yield workload, f"container {container['name']}: less than a minute to start"


@rule("a pod is given ten seconds more than --grace")
def grace(manifests):
    for workload in manifests.workloads:
        seconds = int(arguments(main_container(workload)).get("grace") or 30)
        given = pod(workload).get("terminationGracePeriodSeconds", 30)
        if given < seconds + 10:
            yield workload, f"terminationGracePeriodSeconds {given}, --grace {seconds}"


@rule("ports in services, policies, probes, flags and containers are the same")
def ports(manifests):
    for workload in manifests.workloads:
        known = container_ports(workload)
        for container in pod(workload)["containers"]:
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                port = container.get(kind, {}).get("httpGet", {}).get("port")
                if port is not None and port not in known and port not in known.values():
                    yield workload, f"{kind} asks port {port}, which is none of the container's"
                elif port is not None:
                    number = known.get(port, port)
                    served = [arguments(container).get(flag, ":0") for flag in ("metrics-listen", "listen-http")]
                    if number not in map(port_of, served):
                        yield workload, f"{kind} asks port {number}, --metrics-listen is {served[0]}"
            for flag in ("listen", "metrics-listen", "listen-http"):
                address = arguments(container).get(flag)
                if address and port_of(address) not in known.values():
                    yield workload, f"--{flag}={address} is none of the container's ports"
    for service in manifests.of("Service"):
        for workload in selected(manifests, {"matchLabels": service["spec"]["selector"]}):
            known = container_ports(workload)
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                number = known.get(target, target)
                if number not in known.values():
                    yield service, f"port {target} is none of {title(workload)}"
                # Headless: the port of the service is not translated.
                elif service["spec"].get("clusterIP") == "None" and port["port"] != number:
                    yield service, f"headless, but port {port['port']} is {number} in {title(workload)}"
    for policy in manifests.of("NetworkPolicy"):
        for workload in selected(manifests, policy["spec"]["podSelector"]):
            for entry in policy["spec"].get("ingress", []):
                for port in entry.get("ports", []):
                    if port.get("port") not in container_ports(workload).values():
                        yield policy, f"opens port {port.get('port')}, which is none of {title(workload)}"
    for workload in manifests.workloads:
        address = arguments(main_container(workload)).get("connect")
        if not address:
            continue
        host = address.removeprefix("tcp://").rsplit(":", 1)[0]
        service = manifests.named("Service", host)
        if service is None or port_of(address) not in [port["port"] for port in service["spec"]["ports"]]:
            yield workload, f"--connect={address} is no service's port"


# --- What belongs together


@rule("selectors and scale targets match what they are meant for")
def selectors(manifests):
    for workload in manifests.workloads:
        if not selects(workload["spec"]["selector"], template_labels(workload)):
            yield workload, "its selector does not match its own pods"
        if len(selected(manifests, workload["spec"]["selector"])) > 1:
            yield workload, "its selector matches the pods of another, too"
        for constraint in pod(workload).get("topologySpreadConstraints", []):
            if not selects(constraint["labelSelector"], template_labels(workload)):
                yield workload, "its topology spread does not match its own pods"
        service = workload["spec"].get("serviceName")
        if workload["kind"] == "StatefulSet" and manifests.named("Service", service) is None:
            yield workload, f"there is no service {service}"
    for service in manifests.of("Service"):
        if len(selected(manifests, {"matchLabels": service["spec"]["selector"]})) != 1:
            yield service, "does not select the pods of one workload"
    for budget in manifests.of("PodDisruptionBudget"):
        if len(selected(manifests, budget["spec"]["selector"])) != 1:
            yield budget, "does not select the pods of one workload"
    for policy in manifests.of("NetworkPolicy"):
        if not selected(manifests, policy["spec"]["podSelector"]):
            yield policy, "selects no pod"
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if manifests.named(target["kind"], target["name"]) is None:
            yield scaler, f"there is no {target['kind']}/{target['name']}"


@rule("every ConfigMap, Secret and claim that a pod names is there, with the files that flags name")
def references(manifests):
    for workload in manifests.workloads:
        volumes = {volume["name"]: volume for volume in pod(workload).get("volumes", [])}
        claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
        for container in containers(workload):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes and mount["name"] not in claims:
                    yield workload, f"container {container['name']} mounts {mount['name']}, which is no volume"
        if manifests.is_base:
            continue
        for volume in volumes.values():
            for key, kind, name in (
                ("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName"),
                ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
            ):
                if key in volume and manifests.named(kind, volume[key][name]) is None:
                    yield workload, f"there is no {kind}/{volume[key][name]}"
        container = main_container(workload)
        for flag in ("config", "allow-keys", "server-key"):
            path = arguments(container).get(flag)
            volume = path and volume_of(workload, container, path)
            if not volume or "configMap" not in volume:
                if path:
                    yield workload, f"--{flag}={path} lies in no ConfigMap"
                continue
            data = (manifests.named("ConfigMap", volume["configMap"]["name"]) or {}).get("data", {})
            if path.rsplit("/", 1)[1] not in data:
                yield workload, f"--{flag}={path} is not in ConfigMap/{volume['configMap']['name']}"


@rule("the workers' list has the public key of each secret one, and more than one")
def key_pool(manifests):
    if manifests.is_base:
        return
    worker = manifests.workload(WORKER)
    names = [v["secret"]["secretName"] for v in pod(worker).get("volumes", []) if "secret" in v]
    secret = manifests.named("Secret", names[0]) if names else None
    pool = {key for key in (secret or {}).get("data", {}) if key.startswith("worker-")}
    listed = manifests.named("ConfigMap", "allowed-workers")
    text = (listed or {}).get("data", {}).get("workers.txt", "")
    allowed = {line.split()[1] for line in text.splitlines() if len(line.split()) == 2 and not line.startswith("#")}
    if len(pool) < 2:
        yield worker, f"{len(pool)} keys: results are compared between different keys only"
    if pool - allowed:
        yield worker, f"{', '.join(sorted(pool - allowed))} not on the list"


# --- Secrets


@rule("no secret is in the base, in a ConfigMap, a variable or an argument")
def no_open_secrets(manifests):
    if manifests.is_base:
        for secret in manifests.of("Secret"):
            yield secret, "is in the base"
    for document in manifests.of("ConfigMap"):
        if any("nl-secret-key" in value for value in document.get("data", {}).values()):
            yield document, "holds a secret key"
    values = [
        base64.b64decode(value).decode().strip()
        for secret in manifests.of("Secret") for value in secret.get("data", {}).values()
    ]
    for workload in manifests.workloads:
        for container in containers(workload):
            if any("secretKeyRef" in v.get("valueFrom", {}) for v in container.get("env", [])) or any(
                "secretRef" in v for v in container.get("envFrom", [])
            ):
                yield workload, f"container {container['name']} has a secret in a variable"
            text = " ".join(container.get("command", []) + container.get("args", []))
            text += " ".join(str(v.get("value", "")) for v in container.get("env", []))
            if "nl-secret-key" in text or any(value and value in text for value in values):
                yield workload, f"container {container['name']} has a secret in its command line or variables"


@rule("keys are files in memory that a pod's own group can read at most, and no program sees another's")
def secret_files(manifests):
    for workload in manifests.workloads:
        for volume in pod(workload).get("volumes", []):
            if "secret" in volume:
                yield from ((workload, wrong) for wrong in wrong_with_secret(manifests, workload, volume))
        container = main_container(workload)
        flags = ("key", "metrics-token") + (("token",) if "listen-http" in arguments(container) else ())
        for flag in flags:
            path = arguments(container).get(flag)
            if path is None:
                yield workload, f"--{flag} is missing"
                continue
            volume = volume_of(workload, container, path) or {}
            if "secret" not in volume and not is_copied(workload, volume, path.rsplit("/", 1)[1]):
                yield workload, f"--{flag}={path} is neither of a Secret nor copied to memory with mode 0400"


def wrong_with_secret(manifests, workload, volume):
    name = volume["name"]
    # The programs take a key of root's that a group can read, and no other that others can.
    if volume["secret"].get("defaultMode", 0o644) & 0o037:
        yield f"volume {name} can be read by everyone, or written by its group"
    if not pod(workload).get("securityContext", {}).get("fsGroup"):
        yield f"without fsGroup volume {name} can be read by root alone"
    data = (manifests.named("Secret", volume["secret"]["secretName"]) or {}).get("data", {})
    if sum(b"nl-secret-key" in base64.b64decode(value) for value in data.values()) > 1:
        for container in pod(workload)["containers"]:
            if any(mount["name"] == name for mount in container.get("volumeMounts", [])):
                yield f"container {container['name']} mounts {name}, which has others' keys"


def is_copied(workload, volume, file):
    return volume.get("emptyDir", {}).get("medium") == "Memory" and any(
        "install -m 0400" in text and file in text
        and any(mount["name"] == volume["name"] for mount in init.get("volumeMounts", []))
        for init in pod(workload).get("initContainers", []) for text in init.get("command", [])
    )


@rule("traffic between pods is encrypted: no --insecure")
def encrypted(manifests):
    for workload in manifests.workloads:
        for container in containers(workload):
            if "insecure" in arguments(container) or any(v["name"] == "NL_INSECURE" for v in container.get("env", [])):
                yield workload, f"container {container['name']} is --insecure"


# --- Network


@rule("a policy that denies everything, in and out, selects every pod")
def network_policy_covers(manifests):
    for workload in manifests.workloads:
        for direction in ("Ingress", "Egress"):
            denying = [
                policy for policy in manifests.of("NetworkPolicy")
                if selects(policy["spec"]["podSelector"], template_labels(workload))
                and direction in policy["spec"].get("policyTypes", [])
                and not policy["spec"].get(direction.lower())
            ]
            if not denying:
                yield workload, f"nothing denies {direction.lower()}"


def peer_name(manifests, peer):
    """A peer of a policy in short; None for anything wide."""
    if "ipBlock" in peer:
        return f"ip {peer['ipBlock'].get('cidr')}"
    pods = peer.get("podSelector")
    if not pods or not (pods.get("matchLabels") or pods.get("matchExpressions")):
        return "all pods"
    if "namespaceSelector" in peer:
        space = (peer["namespaceSelector"].get("matchLabels") or {}).get("kubernetes.io/metadata.name", "any namespace")
        return f"{space}: {','.join((pods.get('matchLabels') or {}).values())}"
    return ",".join(sorted(template_labels(w)[NAME] for w in selected(manifests, pods))) or "nobody"


@rule("allowed are workers to the coordinator, Prometheus to the metrics, an Ingress to the page, workers to DNS; no more")
def network_policy_flows(manifests):
    flows = set()
    for policy in manifests.of("NetworkPolicy"):
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for entry in policy["spec"].get(direction) or []:
                peers = [peer_name(manifests, peer) for peer in entry.get(side) or []] or ["everyone"]
                numbers = [(p.get("protocol", "TCP"), p.get("port")) for p in entry.get("ports") or []] or [("any", "any")]
                for workload in selected(manifests, policy["spec"]["podSelector"]):
                    own = template_labels(workload)[NAME]
                    flows |= {(own, direction, peer, *number) for peer in peers for number in numbers}
    coordinator, worker = manifests.workload(COORDINATOR), manifests.workload(WORKER)
    if coordinator is None or worker is None:
        return (yield None, "there is no coordinator, or no worker")
    work = port_of(arguments(main_container(coordinator))["listen"])
    expected = {
        (COORDINATOR, "ingress", WORKER, "TCP", work),
        (WORKER, "egress", COORDINATOR, "TCP", work),
        (WORKER, "egress", "kube-system: kube-dns", "UDP", 53),
        (WORKER, "egress", "kube-system: kube-dns", "TCP", 53),
    }
    # Where Prometheus is differs, its port does not.
    metrics = {flow for flow in flows if re.fullmatch(r"[a-z0-9-]+: [^,]*prometheus[^,]*", flow[2])}
    for workload in (coordinator, worker):
        port = port_of(arguments(main_container(workload)).get("metrics-listen", ":0"))
        seen = {flow for flow in metrics if flow[0] == template_labels(workload)[NAME]}
        if {(flow[1], *flow[3:]) for flow in seen} != {("ingress", "TCP", port)}:
            yield workload, "Prometheus does not reach its metrics, or more than them"
    # So it is with the Ingress in front of a page.
    page = port_of(arguments(main_container(coordinator)).get("listen-http", ":0"))
    ingress = {
        flow for flow in flows
        if flow[:2] == (COORDINATOR, "ingress") and flow[3:] == ("TCP", page)
        and re.fullmatch(r"[a-z0-9-]+: [^,]*ingress[^,]*", flow[2])
    }
    if page and not ingress:
        yield coordinator, "no Ingress reaches its page"
    for flow in sorted(flows - metrics - ingress - expected, key=str):
        yield None, f"allowed, but not meant to be: {flow}"
    for flow in sorted(expected - flows, key=str):
        yield None, f"not allowed: {flow}"


# --- Scaling and disruption


@rule("one coordinator, whose runs lie on a claim of their own that outlives it")
def coordinator_state(manifests):
    coordinator = manifests.workload(COORDINATOR)
    if coordinator is None or coordinator["kind"] != "StatefulSet":
        return (yield coordinator, "there is no StatefulSet of the coordinator")
    if coordinator["spec"].get("replicas", 1) != 1:
        yield coordinator, f"{coordinator['spec']['replicas']} replicas"
    if coordinator["spec"].get("podManagementPolicy") != "Parallel":
        yield coordinator, "a pod that does not become ready would keep the next apply waiting: not Parallel"
    container = main_container(coordinator)
    serves = container.get("args", [""])[0] == "serve"
    flag = "runs" if serves else "output-path"
    path = arguments(container).get(flag, ".")
    volume = volume_of(coordinator, container, path)
    if volume is None or "volumeClaimTemplate" not in volume:
        yield coordinator, f"--{flag}={path} does not lie on a volumeClaimTemplate"
    retention = coordinator["spec"].get("persistentVolumeClaimRetentionPolicy", {})
    if "Delete" in retention.values():
        yield coordinator, "its claim is deleted with it"
    # The service goes on by itself.
    if not serves and "or-resume" not in arguments(container):
        yield coordinator, "a restarted container would not go on with its run: --or-resume is missing"


@rule("a disruption budget covers the workers, and lets nodes be drained")
def disruption_budget(manifests):
    worker = manifests.workload(WORKER)
    budgets = [
        budget for budget in manifests.of("PodDisruptionBudget")
        if worker and selects(budget["spec"]["selector"], template_labels(worker))
    ]
    if len(budgets) != 1:
        return (yield worker, f"{len(budgets)} disruption budgets")
    limit = budgets[0]["spec"].get("maxUnavailable")
    if limit in (None, 0, "0%", "100%"):
        yield budgets[0], f"maxUnavailable is {limit}"


@rule("the number of workers belongs to the autoscaler alone")
def autoscaler(manifests):
    worker = manifests.workload(WORKER)
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        workload = manifests.named(target["kind"], target["name"])
        if workload and "replicas" in workload["spec"]:
            yield workload, "sets replicas, too"
        if not 1 <= scaler["spec"].get("minReplicas", 1) <= scaler["spec"]["maxReplicas"]:
            yield scaler, "minReplicas is above maxReplicas"
        if worker is not None and workload is not worker:
            yield scaler, "scales something that is no worker"
        for metric in scaler["spec"].get("metrics", []):
            name = metric.get("containerResource", {}).get("container")
            if name and workload and name not in [c["name"] for c in pod(workload)["containers"]]:
                yield scaler, f"there is no container {name}"
    if len(manifests.of("HorizontalPodAutoscaler")) != 1:
        yield worker, "there is not one autoscaler"


@rule("workers are spread over nodes")
def spread(manifests):
    worker = manifests.workload(WORKER)
    keys = [c["topologyKey"] for c in pod(worker).get("topologySpreadConstraints", [])] if worker else []
    if "kubernetes.io/hostname" not in keys:
        yield worker, "no topologySpreadConstraint over hosts"


def violations(manifests):
    for name, (_, check) in RULES.items():
        for document, text in check(manifests):
            yield name, title(document) if document else "-", text


# --- Self-test: each rule is broken in a copy


def breakages():
    """(rule, what is done, how): how changes a copy of the manifests."""

    def workload(name):
        return lambda m: m.workload(name)

    def change(name, edit):
        return lambda m: edit(pod(workload(name)(m)))

    def main(name, edit):
        return lambda m: edit(main_container(workload(name)(m)))

    def init(name, edit):
        return lambda m: edit(pod(workload(name)(m))["initContainers"][-1])

    def replace_flag(name, flag, value):
        def edit(container):
            container["args"] = [
                f"--{flag}={value}" if re.match(f"--{flag}(=|$)", a) else a for a in container["args"]
            ]
        return main(name, edit)

    def drop_flag(name, flag):
        def edit(container):
            container["args"] = [a for a in container["args"] if not re.match(f"--{flag}(=|$)", a)]
        return main(name, edit)

    def policy(name, edit):
        return lambda m: edit(m.named("NetworkPolicy", name)["spec"])

    def only(kind, edit):
        return lambda m: edit(m.of(kind)[0])

    def remove(kind):
        def edit(m):
            m.all = [document for document in m.all if document["kind"] != kind]
        return edit

    def set_volume(name, volume, content):
        def edit(spec):
            spec["volumes"] = [v for v in spec["volumes"] if v["name"] != volume] + [{"name": volume, **content}]
        return change(name, edit)

    def token_in_variable(m):
        token = next(base64.b64decode(s["data"]["metrics.token"]).decode() for s in m.of("Secret"))
        main_container(m.workload(COORDINATOR)).setdefault("env", []).append({"name": "X", "value": token})

    def key_in_config(m):
        m.of("ConfigMap")[0].setdefault("data", {})["x"] = "nl-secret-key abc"

    def as_base(m):
        m.is_base = True

    C, W = COORDINATOR, WORKER
    anyone = {"podSelector": {}}
    return [
        ("non-root", "runAsNonRoot is gone", change(W, lambda s: s["securityContext"].pop("runAsNonRoot"))),
        ("non-root", "user 0", change(C, lambda s: s["securityContext"].update(runAsUser=0))),
        ("non-root", "a container as root", init(W, lambda c: c["securityContext"].update(runAsUser=0))),
        ("read-only-root", "writable", main(W, lambda c: c["securityContext"].pop("readOnlyRootFilesystem"))),
        ("read-only-root", "writable, init", init(C, lambda c: c["securityContext"].update(readOnlyRootFilesystem=False))),
        ("no-privilege-escalation", "allowed", main(C, lambda c: c["securityContext"].pop("allowPrivilegeEscalation"))),
        ("no-privilege-escalation", "privileged", main(C, lambda c: c["securityContext"].update(privileged=True))),
        ("dropped-capabilities", "not dropped", init(W, lambda c: c["securityContext"].pop("capabilities"))),
        ("dropped-capabilities", "one added",
         main(W, lambda c: c["securityContext"]["capabilities"].update(add=["NET_RAW"]))),
        ("seccomp", "no profile", change(W, lambda s: s["securityContext"].pop("seccompProfile"))),
        ("seccomp", "unconfined", main(C, lambda c: c["securityContext"].update(seccompProfile={"type": "Unconfined"}))),
        ("no-host", "host network", change(W, lambda s: s.update(hostNetwork=True))),
        ("no-host", "host path", set_volume(W, "cache", {"hostPath": {"path": "/var"}})),
        ("no-default-token", "mounted", change(C, lambda s: s.pop("automountServiceAccountToken"))),
        ("no-service-links", "linked", change(W, lambda s: s.pop("enableServiceLinks"))),
        ("namespace", "another", only("Deployment", lambda d: d["metadata"].update(namespace="default"))),
        ("namespace", "not restricted", only("Namespace", lambda d: d["metadata"].update(labels={}))),
        ("image-tag", "latest", main(W, lambda c: c.update(image="registry:5000/x/nested-learning:latest"))),
        ("image-tag", "no tag", init(C, lambda c: c.update(image="registry:5000/nested-learning"))),
        ("image-tag", "not set by the overlay", main(C, lambda c: c.update(image="nested-learning:" + PLACEHOLDER))),
        ("resources", "no limit of memory", main(W, lambda c: c["resources"]["limits"].pop("memory"))),
        ("resources", "no request, init", init(C, lambda c: c["resources"].pop("requests"))),
        ("resources", "requests above limits", main(C, lambda c: c["resources"]["requests"].update(cpu="64"))),
        ("threads", "a number", main(W, lambda c: c.update(env=[{"name": "NL_THREADS", "value": "8"}]))),
        ("threads", "none", main(W, lambda c: c.pop("env"))),
        ("scratch-limits", "no limit", set_volume(W, "cache", {"emptyDir": {}})),
        ("scratch-limits", "more than the pod has", set_volume(W, "cache", {"emptyDir": {"sizeLimit": "900Gi"}})),
        ("writable-tmp", "no mount",
         main(C, lambda c: c.update(volumeMounts=[m for m in c["volumeMounts"] if m["name"] != "tmp"]))),
        ("probes", "no liveness", main(W, lambda c: c.pop("livenessProbe"))),
        ("probes", "no startup", main(C, lambda c: c.pop("startupProbe"))),
        ("probes", "readiness asks for health", main(C, lambda c: c["readinessProbe"]["httpGet"].update(path="/healthz"))),
        ("probes", "a short start", main(W, lambda c: c["startupProbe"].update(failureThreshold=3))),
        ("grace", "too short", change(C, lambda s: s.update(terminationGracePeriodSeconds=120))),
        ("grace", "the default", change(W, lambda s: s.pop("terminationGracePeriodSeconds"))),
        ("ports", "another probe", main(W, lambda c: c["livenessProbe"]["httpGet"].update(port=8080))),
        ("ports", "the probe asks the work port", main(C, lambda c: c["livenessProbe"]["httpGet"].update(port="work"))),
        ("ports", "another service", only("Service", lambda d: d["spec"]["ports"][0].update(targetPort=5556))),
        ("ports", "translated by a headless service", only("Service", lambda d: d["spec"]["ports"][0].update(port=80))),
        ("ports", "another policy", policy("metrics", lambda s: s["ingress"][0]["ports"][0].update(port=9090))),
        ("ports", "another --listen", replace_flag(C, "listen", "tcp://0.0.0.0:6666")),
        ("ports", "another --connect", replace_flag(W, "connect", "tcp://coordinator:6666")),
        ("ports", "another host", replace_flag(W, "connect", "tcp://boss:5555")),
        ("selectors", "the workload's", only("Deployment", lambda d: d["spec"]["selector"]["matchLabels"].update(x="y"))),
        ("selectors", "the service's", only("Service", lambda d: d["spec"]["selector"].update({NAME: "boss"}))),
        ("selectors", "a policy's",
         policy("worker", lambda s: s["podSelector"]["matchLabels"].update({NAME: "workers"}))),
        ("selectors", "the budget's",
         only("PodDisruptionBudget", lambda d: d["spec"]["selector"]["matchLabels"].update({NAME: "workers"}))),
        ("selectors", "the spread's",
         change(W, lambda s: s["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update({NAME: "x"}))),
        ("selectors", "the autoscaler's",
         only("HorizontalPodAutoscaler", lambda d: d["spec"]["scaleTargetRef"].update(name="worker"))),
        ("selectors", "no such service", only("StatefulSet", lambda d: d["spec"].update(serviceName="boss"))),
        ("references", "no Secret", remove("Secret")),
        ("references", "no claim", remove("PersistentVolumeClaim")),
        ("references", "another file", replace_flag(C, "config", "/config/run.yaml")),
        ("references", "no volume",
         change(W, lambda s: s.update(volumes=[v for v in s["volumes"] if v["name"] != "cache"]))),
        ("key-pool", "a key that is not on the list",
         lambda m: m.named("ConfigMap", "allowed-workers")["data"].update({"workers.txt": "# nobody\n"})),
        ("key-pool", "one key for all", lambda m: [
            s["data"].pop(k) for s in m.of("Secret") for k in list(s["data"]) if re.match(r"worker-(?!01)", k)]),
        ("no-open-secrets", "in the base", as_base),
        ("no-open-secrets", "in a ConfigMap", key_in_config),
        ("no-open-secrets", "in a variable", token_in_variable),
        ("no-open-secrets", "by reference", main(W, lambda c: c.setdefault("env", []).append(
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "worker-keys", "key": "x"}}}))),
        ("secret-files", "read by everyone", change(C, lambda s: [
            v["secret"].update(defaultMode=0o444) for v in s["volumes"] if "secret" in v])),
        ("secret-files", "no fsGroup", change(W, lambda s: s["securityContext"].pop("fsGroup"))),
        ("secret-files", "all keys seen by one program",
         main(W, lambda c: c["volumeMounts"].append({"name": "secrets", "mountPath": "/secrets"}))),
        ("secret-files", "written by the group", change(C, lambda s: [
            v["secret"].update(defaultMode=0o460) for v in s["volumes"] if "secret" in v])),
        ("secret-files", "a key in the image", replace_flag(C, "key", "/usr/share/coordinator.key")),
        ("secret-files", "copied for the group", init(W, lambda c: c.update(
            command=[text.replace("0400", "0440") for text in c["command"]]))),
        ("secret-files", "on the disk", set_volume(W, "keys", {"emptyDir": {"sizeLimit": "1Mi"}})),
        ("secret-files", "metrics without a token", drop_flag(W, "metrics-token")),
        ("encrypted", "by flag", main(W, lambda c: c["args"].append("--insecure"))),
        ("encrypted", "by variable",
         main(C, lambda c: c.setdefault("env", []).append({"name": "NL_INSECURE", "value": "1"}))),
        ("network-policy-covers", "workers alone",
         policy("deny-all", lambda s: s.update(podSelector={"matchLabels": {NAME: "worker"}}))),
        ("network-policy-covers", "only in", policy("deny-all", lambda s: s.update(policyTypes=["Ingress"]))),
        ("network-policy-flows", "from everyone", policy("coordinator", lambda s: s["ingress"][0].pop("from"))),
        ("network-policy-flows", "from all pods", policy("coordinator", lambda s: s["ingress"][0].update({"from": [anyone]}))),
        ("network-policy-flows", "to the world",
         policy("worker", lambda s: s["egress"].append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}))),
        ("network-policy-flows", "all ports", policy("coordinator", lambda s: s["ingress"][0].pop("ports"))),
        ("network-policy-flows", "no DNS", policy("worker", lambda s: s["egress"].pop())),
        ("network-policy-flows", "Prometheus shut out", policy("metrics", lambda s: s.update(
            podSelector={"matchLabels": {NAME: "worker"}}))),
        ("network-policy-flows", "Prometheus to the work port",
         policy("metrics", lambda s: s["ingress"][0]["ports"].append({"port": 5555}))),
        ("coordinator-state", "two", only("StatefulSet", lambda d: d["spec"].update(replicas=2))),
        ("coordinator-state", "in order", only("StatefulSet", lambda d: d["spec"].pop("podManagementPolicy"))),
        ("coordinator-state", "runs in memory", replace_flag(C, "output-path", "/tmp/runs")),
        ("coordinator-state", "deleted", only("StatefulSet", lambda d: d["spec"].update(
            persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete"}))),
        ("coordinator-state", "no --or-resume", drop_flag(C, "or-resume")),
        ("disruption-budget", "none", remove("PodDisruptionBudget")),
        ("disruption-budget", "blocks", only("PodDisruptionBudget", lambda d: d["spec"].update(maxUnavailable=0))),
        ("disruption-budget", "another's",
         only("PodDisruptionBudget", lambda d: d["spec"]["selector"]["matchLabels"].update({NAME: C}))),
        ("autoscaler", "replicas", only("Deployment", lambda d: d["spec"].update(replicas=3))),
        ("autoscaler", "upside down", only("HorizontalPodAutoscaler", lambda d: d["spec"].update(minReplicas=99))),
        ("autoscaler", "another container", only("HorizontalPodAutoscaler", lambda d: d["spec"]["metrics"][0][
            "containerResource"].update(container="workers"))),
        ("autoscaler", "none", remove("HorizontalPodAutoscaler")),
        ("spread", "none", change(W, lambda s: s.pop("topologySpreadConstraints"))),
    ]


def page_breakages():
    """What can be wrong with a page, where there is one: (rule, what, edit)."""

    def argument(old, new):
        def edit(manifests):
            container = main_container(manifests.workload(COORDINATOR))
            container["args"] = [new if text == old else text for text in container["args"] if new or text != old]

        return edit

    def page_policy(edit):
        return lambda manifests: edit(manifests.named("NetworkPolicy", "page")["spec"])

    return [
        ("ports", "another port", argument("--listen-http=0.0.0.0:8000", "--listen-http=0.0.0.0:8001")),
        ("ports", "a Service of no port",
         lambda m: m.named("Service", "page")["spec"]["ports"][0].update(targetPort="pages")),
        ("secret-files", "a page without a token", argument("--token=/keys/page.token", None)),
        ("secret-files", "a token in the image", argument("--token=/keys/page.token", "--token=/usr/share/page.token")),
        ("coordinator-state", "a service with its runs in memory", argument("--runs=/runs", "--runs=/tmp/runs")),
        ("network-policy-flows", "a page for everyone", page_policy(lambda s: s["ingress"][0].pop("from"))),
        ("network-policy-flows", "a page for workers", page_policy(lambda s: s["ingress"][0].update(
            {"from": [{"podSelector": {"matchLabels": {NAME: WORKER}}}]}))),
        ("network-policy-flows", "a page for nobody", page_policy(lambda s: s.update(ingress=[]))),
    ]


def self_test(documents):
    failures = [f"unbroken, but: {' '.join(v)}" for v in violations(Manifests(documents))]
    has_page = "listen-http" in arguments(main_container(Manifests(documents).workload(COORDINATOR)))
    # What a run of one config has is broken there.
    untried = set() if has_page else set(RULES)
    count = 0
    for name, what, edit in page_breakages() if has_page else breakages():
        broken = Manifests(copy.deepcopy(documents))
        edit(broken)
        named = {violation[0] for violation in violations(broken)}
        if name not in named:
            failures.append(f"{name} ({what}) is not named; named: {', '.join(sorted(named)) or 'nothing'}")
        untried.discard(name)
        count += 1
    failures += [f"{name} is never broken" for name in sorted(untried)]
    for failure in failures:
        print(failure)
    print(f"{len(RULES)} rules, broken in {count} ways: {'FAILED' if failures else 'each was named'}")
    return not failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("file", nargs="?")
    options = parser.parse_args()
    if options.list:
        for name, (text, _) in RULES.items():
            print(f"{name:25}{text}")
        return 0
    if options.file is None:
        parser.error("FILE is missing")
    with open(options.file, encoding="utf-8") as file:
        documents = list(yaml.safe_load_all(file))
    # Anchors make one object of several places; a breakage is to change one of them.
    documents = [copy.deepcopy(d) for d in documents if d]
    if options.self_test:
        return 0 if self_test(documents) else 1
    found = list(violations(Manifests(documents, options.base)))
    for violation in found:
        print("  ".join(violation))
    if not found:
        print(f"{len(documents)} resources hold to {len(RULES)} rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
