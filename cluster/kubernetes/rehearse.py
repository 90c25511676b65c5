#!/usr/bin/env python3
"""Runs the pods of a rendered overlay on this machine, as far as a kubelet's work can be done without a cluster: each
pod has an address, a host name, an empty read-only file system and the volumes of its manifest with the owners and
modes that a kubelet gives them; its containers run the manifest's commands as its user, without capabilities and
without a way to more rights; probes are asked as the manifest says, and a pod is ended by SIGTERM, then SIGKILL.

What is not there: the API server, controllers, the scheduler, limits, network policies, the image.

usage: rehearse.py OVERLAY [--programs .build/release] [--steps 24]

The overlay must be that of the example or of the service, with its keys. The coordinator waits for data and gets it, two
workers join, the coordinator is evicted and comes back, a worker is killed; the service gets its run by its API, and is
evicted in the midst of it. The adapter must be that of a run by one process. It needs root and what cluster/testbed/network.sh needs, curl, PyYAML, kubectl or kustomize, and the built programs.
"""
import argparse
import base64
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NETWORK = ROOT / "cluster/testbed/network.sh"
EXAMPLE = ROOT / "examples/quickstart"
failed = False
# What a worker says whose key is not on the list.
REFUSED = "it does not let this worker's public key"


def say(text):
    print(f"{time.strftime('%T')}  {text}", flush=True)


class GiveUp(Exception):
    """What follows would only fail, too."""


def expect(what, holds):
    global failed
    say(f"{'ok    ' if holds else 'FAILED'}  {what}")
    failed = failed or not holds


def need(what, holds):
    expect(what, holds)
    if not holds:
        raise GiveUp


def until(seconds, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def skip(text):
    print(f"skipped  rehearsal: {text}")
    sys.exit(0)


def render(overlay):
    command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    return list(yaml.safe_load_all(subprocess.run([*command, overlay], check=True, stdout=subprocess.PIPE).stdout))


class Pod:
    """A pod on a host of its own. Volumes of claims are shared by name, all others are the pod's."""

    def __init__(self, cluster, workload, name, host):
        self.cluster, self.name, self.host = cluster, name, host
        self.spec = workload["spec"]["template"]["spec"]
        self.context = self.spec["securityContext"]
        self.folder = cluster.folder / f"{name}.{len(cluster.pods)}"
        self.folder.mkdir()
        self.volumes = {}
        for volume in self.spec["volumes"]:
            self.volumes[volume["name"]] = self.make_volume(volume)
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            title = f"{claim['metadata']['name']}-{name}"
            self.volumes[claim["metadata"]["name"]] = cluster.claim(title, self.context["fsGroup"])
        self.process, self.kept = None, False
        # The exit codes of its program, so far.
        self.codes = []
        self.log = self.folder / "log"

    def make_volume(self, volume):
        path = self.folder / "volumes" / volume["name"]
        group = self.context["fsGroup"]
        if "persistentVolumeClaim" in volume:
            return self.cluster.claim(volume["persistentVolumeClaim"]["claimName"], group)
        path.mkdir(parents=True)
        if "emptyDir" in volume:
            if volume["emptyDir"].get("medium") == "Memory":
                subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
                self.cluster.mounts.append(path)
            os.chown(path, 0, group)
            path.chmod(0o2777)
            return path
        if "secret" in volume:
            data = self.cluster.named("Secret", volume["secret"]["secretName"])["data"]
            files = {key: base64.b64decode(value) for key, value in data.items()}
            # A kubelet lets the group read, whatever defaultMode says.
            mode = volume["secret"].get("defaultMode", 0o644) | 0o440
        else:
            files = {k: v.encode() for k, v in self.cluster.named("ConfigMap", volume["configMap"]["name"])["data"].items()}
            mode = volume["configMap"].get("defaultMode", 0o644) | 0o440
        self.write_files(path, files, mode)
        return path

    def write_files(self, path, files, mode=0o644):
        """As a kubelet does it, so that all files change at once: a folder, a link to it, links through that."""
        real = path / f"..{time.monotonic_ns()}"
        real.mkdir()
        for name, content in files.items():
            (real / name).write_bytes(content)
            os.chown(real / name, 0, self.context["fsGroup"])
            (real / name).chmod(mode)
            if not (path / name).is_symlink():
                (path / name).symlink_to(f"..data/{name}")
        (path / "..new").symlink_to(real.name)
        (path / "..new").rename(path / "..data")

    def environment(self, container):
        found = {"PATH": "/programs:/usr/bin:/bin", "HOSTNAME": self.name, "HOME": "/", "LD_LIBRARY_PATH": "/libraries"}
        for variable in container.get("env", []):
            value = variable.get("value")
            if value is None:
                resource = variable["valueFrom"]["resourceFieldRef"]["resource"].split(".")
                quantity = str(container["resources"][resource[0]][resource[1]])
                value = str(math.ceil(float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)))
            found[variable["name"]] = value
        return found

    def script(self, container):
        """Makes the container's file system, goes there, gives up all rights and becomes its program."""
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        lines = [
            "set -euo pipefail",
            "mount --make-rprivate /",
            f"hostname {self.name}",
            f"mount -t tmpfs -o mode=755 none {root}",
            f"cd {root}",
            "mkdir usr etc dev proc programs libraries",
            "for link in bin lib lib64 sbin; do [ ! -L /$link ] || ln -s usr/$link $link; done",
            "for folder in /usr /etc; do mount --bind $folder .$folder; mount -o remount,ro,bind .$folder; done",
            f"mount --bind {self.cluster.programs} programs; mount -o remount,ro,bind programs",
            f"mount --bind {self.cluster.folder}/libraries libraries; mount -o remount,ro,bind libraries",
            f"mount --bind {self.cluster.folder}/hosts etc/hosts",
            "mount --rbind /dev dev; mount -t proc none proc",
        ]
        for mount in container.get("volumeMounts", []):
            path = mount["mountPath"].lstrip("/")
            lines.append(f"mkdir -p {path}; mount --bind {self.volumes[mount['name']]} {path}")
            if mount.get("readOnly"):
                lines.append(f"mount -o remount,ro,bind {path}")
        own = container["securityContext"]
        rights = [
            f"--reuid={self.context['runAsUser']}", f"--regid={self.context['runAsGroup']}",
            f"--groups={self.context['fsGroup']}", "--inh-caps=-all",
        ]
        if "ALL" in own["capabilities"]["drop"]:
            rights.append("--bounding-set=-all")
        if own["allowPrivilegeEscalation"] is False:
            rights.append("--no-new-privs")
        if own["readOnlyRootFilesystem"]:
            lines.append("mount -o remount,ro .")
        variables = [f"{name}={value}" for name, value in self.environment(container).items()]
        command = ["env", "-i", *variables, *container["command"], *container.get("args", [])]
        lines.append(f"exec chroot . setpriv {shlex.join(rights)} {shlex.join(command)}")
        return "\n".join(lines)

    def start_container(self, container):
        log = open(self.log, "ab")
        # The program is process 1 of a namespace, as in a container: SIGTERM ends it only if it handles it.
        return subprocess.Popen(
            [NETWORK, "exec", str(self.host), "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork",
             "--kill-child", "bash", "-c", self.script(container)],
            stdout=log, stderr=log, env={**os.environ, "NL_NETWORK": self.cluster.network},
        )

    def run_init(self, name):
        container = next(c for c in self.spec["initContainers"] if c["name"] == name)
        return self.start_container(container)

    def start(self):
        """Runs the init containers in turn, then the program."""
        for container in self.spec.get("initContainers", []):
            if self.start_container(container).wait(timeout=60) != 0:
                need(f"{self.name}: init container {container['name']}", False)
        self.process = self.start_container(self.spec["containers"][0])
        self.kept = True
        threading.Thread(target=self.keep, daemon=True).start()

    def keep(self):
        """Starts the program again whenever it ends, as restartPolicy Always has it; sooner than a kubelet, which waits
        for 10 s, then 20, up to 300."""
        while True:
            code = self.process.wait()
            self.codes.append(code)
            time.sleep(1)
            if not self.kept:
                return
            self.process = self.start_container(self.spec["containers"][0])

    def signal(self, number):
        """To the program: the child of unshare."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), number)

    def end(self):
        """SIGTERM, and the exit code within terminationGracePeriodSeconds; else SIGKILL and nothing."""
        self.kept = False
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=self.spec["terminationGracePeriodSeconds"])
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return None

    def probe(self, kind):
        get = self.spec["containers"][0][kind]["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in self.spec["containers"][0]["ports"]}
        return self.get(get["path"], ports.get(get["port"], get["port"])) == "200"

    def get(self, path, port, *arguments):
        """The status of a request from another pod's address."""
        run = subprocess.run(
            [NETWORK, "exec", str(self.cluster.watcher), "curl", "-s", "-m", "5", "-o", self.cluster.folder / "answer",
             "-w", "%{http_code}", *arguments, f"http://10.77.0.{self.host}:{port}{path}"],
            stdout=subprocess.PIPE, env={**os.environ, "NL_NETWORK": self.cluster.network}, text=True,
        )
        return run.stdout


class Cluster:
    def __init__(self, documents, programs):
        self.documents, self.programs = documents, programs
        self.folder = Path(tempfile.mkdtemp(prefix="nl-pods-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.network = f"nlk{os.getpid()}"
        self.mounts, self.pods = [], []
        self.watcher = 4
        # What the headless service's name resolves to.
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n10.77.0.1 coordinator\n")
        self.copy_libraries()
        self.testbed("up", "4")

    def copy_libraries(self):
        """What the programs use of the Swift toolchain, which an image has, too."""
        (self.folder / "libraries").mkdir()
        for program in self.programs.glob("*nl-*"):
            lines = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
            for word in lines.split():
                if word.startswith("/") and not word.startswith(("/lib", "/usr/")):
                    shutil.copy(word, self.folder / "libraries")

    def testbed(self, *arguments):
        subprocess.run([NETWORK, *arguments], check=True, env={**os.environ, "NL_NETWORK": self.network})

    def named(self, kind, name):
        return next(d for d in self.documents if d["kind"] == kind and d["metadata"]["name"] == name)

    def claim(self, name, group):
        path = self.folder / "claims" / name
        if not path.exists():
            path.mkdir(parents=True)
            os.chown(path, 0, group)
            path.chmod(0o2775)
        return path

    def pod(self, kind, workload, name, host):
        pod = Pod(self, self.named(kind, workload), name, host)
        self.pods.append(pod)
        return pod

    def close(self):
        for pod in self.pods:
            pod.kept = False
            if pod.process and pod.process.poll() is None:
                pod.process.kill()
                pod.process.wait()
        self.testbed("down")
        for path in self.mounts:
            subprocess.run(["umount", path], check=False)
        if failed:
            print(f"The pods' logs and volumes are in {self.folder}")
        else:
            shutil.rmtree(self.folder)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def rehearse(options):
    folder = Path(tempfile.mkdtemp(prefix="nl-overlay-", dir="/tmp"))
    shutil.copytree(Path(options.overlay).resolve().parents[1], folder / "kubernetes")
    overlay = folder / "kubernetes/overlays" / Path(options.overlay).name
    config = overlay / "config.yaml"
    if serves := not config.exists():
        config = EXAMPLE / "quickstart.json"
    else:
        # Fewer steps; the rest is the overlay's.
        lines = config.read_text().splitlines()
        lines = [f"num_steps: {options.steps}" if line.startswith("num_steps:") else line for line in lines]
        config.write_text("\n".join(lines) + "\n")
    documents = render(overlay)
    values = json.loads(config.read_text()) if serves else yaml.safe_load(config.read_text())
    cluster = Cluster(documents, options.programs)
    try:
        reference = [
            options.programs / "nl-coord", "train", "--config", EXAMPLE / "quickstart.json", "--output-path",
            cluster.folder, "--experiment-name", "one", "--local-workers", "1", "--num-steps", str(options.steps),
        ]
        with open(cluster.folder / "one.log", "wb") as log:
            subprocess.run(reference, check=True, stdout=log, stderr=log)
        say(f"the run by one process has made its {options.steps} steps")
        if serves:
            serve(cluster, values, options.steps)
        else:
            go(cluster, values["experiment_name"], options.steps)
    except GiveUp:
        pass
    finally:
        cluster.close()
        shutil.rmtree(folder)


def secret_of(cluster, pod, name):
    """A file of the Secret that a pod has."""
    secret = next(v for v in pod.spec["volumes"] if "secret" in v)["secret"]["secretName"]
    return base64.b64decode(cluster.named("Secret", secret)["data"][name]).decode()


def serve(cluster, values, steps):
    runs = cluster.folder / "claims/runs-coordinator-0/quickstart"
    data = cluster.claim("data", 10001)
    for part in ("models", "texts"):
        cluster.claim(f"data/{part}", 10001)
    shutil.copytree(EXAMPLE / "base", data / "models/base")
    shutil.copy(EXAMPLE / "genesis.jsonl", data / "texts")
    coordinator = cluster.pod("StatefulSet", "coordinator", "coordinator-0", 1)
    workers = [cluster.pod("Deployment", "workers", f"workers-{i}", i + 1) for i in (1, 2)]
    for pod in (coordinator, *workers):
        pod.start()
    for pod in (coordinator, *workers):
        need(f"{pod.name}: startup and liveness probes", until(30, lambda: pod.probe("startupProbe")) and
             pod.probe("livenessProbe"))
        expect(f"{pod.name}: readiness probe", until(30, lambda: pod.probe("readinessProbe")))
    bearer = "Authorization: Bearer " + secret_of(cluster, coordinator, "page.token")
    page = lambda path, *arguments: coordinator.get(path, 8000, "-H", bearer, *arguments)
    expect("the page wants the token", coordinator.get("/nested-learning", 8000) == "401" and page("/nested-learning") == "200")

    del values["output_path"]
    values |= {"experiment_name": "quickstart", "base_model_path": "base", "train_data_path": "genesis.jsonl", "num_steps": steps}
    (cluster.folder / "start.json").write_text(json.dumps(values))
    status = page("/nested-learning/start", "-H", "Content-Type: application/json", "-d", f"@{cluster.folder}/start.json")
    need(f"the API takes a run ({status})", status == "200")

    def answer():
        page("/nested-learning/status?experiment=quickstart")
        try:
            return json.loads((cluster.folder / "answer").read_text())
        except ValueError:
            return {"current_step": 0, "status": ""}

    need("which makes steps", until(60, lambda: answer()["current_step"] >= 3))
    code = coordinator.end()
    expect(f"the service, evicted, ends with code 0 ({code})", code == 0)
    coordinator = cluster.pod("StatefulSet", "coordinator", "coordinator-0", 1)
    coordinator.start()
    need("a new pod goes on with the run by itself, to its end", until(180, lambda: answer()["status"] == "completed"))
    expect("its container was not started again", not coordinator.codes)
    code = coordinator.end()
    expect(f"scaled to zero it ends with code 0 ({code})", code == 0)
    one = digest(cluster.folder / "one/checkpoints/final/adapters.safetensors")
    final = runs / "checkpoints/final/adapters.safetensors"
    expect(f"the adapter is that of one process: {one}", final.exists() and digest(final) == one)


def go(cluster, run_name, steps):
    runs = cluster.folder / "claims/runs-coordinator-0" / run_name
    metrics = runs / "metrics/train_metrics.jsonl"

    def step():
        return len(metrics.read_text().splitlines()) if metrics.exists() else 0

    coordinator = cluster.pod("StatefulSet", "coordinator", "coordinator-0", 1)
    data = cluster.folder / "claims/data"
    waiting = coordinator.run_init("data")
    expect("the coordinator waits for its data", until(10, lambda: "waiting for /data/complete" in
                                                       coordinator.log.read_text()) and waiting.poll() is None)
    shutil.copytree(EXAMPLE / "base", data / "base")
    shutil.copy(EXAMPLE / "genesis.jsonl", data)
    (data / "complete").touch()
    expect("and no longer once they are there", until(20, lambda: waiting.poll() == 0))

    workers = [cluster.pod("Deployment", "workers", f"workers-{i}", i + 1) for i in (1, 2)]
    for worker in workers:
        worker.start()
    coordinator.start()
    for pod in (coordinator, *workers):
        need(f"{pod.name}: startup and liveness probes", until(30, lambda: pod.probe("startupProbe")) and
               pod.probe("livenessProbe"))
    need("the run makes steps", until(60, lambda: step() >= 3))
    for pod in (coordinator, *workers):
        expect(f"{pod.name}: readiness probe", until(30, lambda: pod.probe("readinessProbe")))
        bearer = "Authorization: Bearer " + secret_of(cluster, pod, "metrics.token")
        expect(f"{pod.name}: metrics with the token, and not without",
               pod.get("/metrics", 9464) in ("401", "403") and pod.get("/metrics", 9464, "-H", bearer) == "200")

    at = step()
    code = coordinator.end()
    expect(f"the coordinator, evicted at step {at}, ends with code 0 ({code})", code == 0)
    expect("in the midst of the run", step() < steps)
    # A pod of the same name: its claims are there, everything else is new.
    coordinator = cluster.pod("StatefulSet", "coordinator", "coordinator-0", 1)
    coordinator.start()
    need("a new pod goes on with the run", until(60, lambda: step() > at + 1))
    workers[0].signal(signal.SIGKILL)
    say(f"        workers-1 is killed at step {step()}")
    others, key = [re.findall("this pod is (worker-[0-9]+)", worker.log.read_text())[-1] for worker in workers]
    if others == key:
        say(f"skipped both workers have drawn {key}: that one is not struck off the list")
        return finish(cluster, coordinator, runs)
    name = next(v["configMap"]["name"] for v in coordinator.spec["volumes"] if v["name"] == "workers")
    listed = cluster.named("ConfigMap", name)["data"]["workers.txt"].splitlines(keepends=True)
    rest = "".join(line for line in listed if line.split()[1] != key)
    coordinator.write_files(coordinator.volumes["workers"], {"workers.txt": rest.encode()})
    expect(f"workers-2, whose key {key} is struck off the list, is sent away",
           until(20, lambda: REFUSED in workers[1].log.read_text()))
    finish(cluster, coordinator, runs)


def finish(cluster, coordinator, runs):
    def stays():
        return coordinator.log.read_text().count("staying until SIGTERM")

    need("the run ends", until(180, lambda: stays() == 1))
    expect("its coordinator stays, alive and ready",
           not coordinator.codes and coordinator.probe("livenessProbe") and coordinator.probe("readinessProbe"))
    coordinator.signal(signal.SIGKILL)
    expect("its container, started again, finds it finished", until(30, lambda: stays() == 2))
    code = coordinator.end()
    expect(f"scaled to zero it ends with code 0 ({code})", code == 0)
    one = digest(cluster.folder / "one/checkpoints/final/adapters.safetensors")
    final = runs / "checkpoints/final/adapters.safetensors"
    expect(f"the adapter is that of one process: {one}", final.exists() and digest(final) == one)
    log = "".join(pod.log.read_text() for pod in cluster.pods[1:])
    lines = [line for line in log.splitlines() if line.startswith("{")]
    expect("the logs are JSON", bool(lines) and all(isinstance(json.loads(line), dict) for line in lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overlay")
    parser.add_argument("--programs", type=Path, default=ROOT / ".build/release")
    parser.add_argument("--steps", type=int, default=24)
    options = parser.parse_args()
    options.programs = options.programs.resolve()
    if yaml is None:
        skip("python3 has no yaml (apt-get install python3-yaml)")
    if not (options.programs / "nl-coord").exists():
        skip(f"there are no programs in {options.programs}; cluster/build.sh makes them")
    for tool in ("curl", "setpriv", "unshare"):
        if not shutil.which(tool):
            skip(f"{tool} is missing (apt-get install curl util-linux)")
    check = subprocess.run([NETWORK, "check"], stderr=subprocess.PIPE, text=True, env={**os.environ, "NL_NETWORK": "nlk"})
    if check.returncode:
        skip(check.stderr.strip())
    rehearse(options)
    return 1 if failed else 0


try:
    import yaml
except ImportError:
    yaml = None

if __name__ == "__main__":
    sys.exit(main())
