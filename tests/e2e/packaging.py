"""Does what docker/Dockerfile and docker/compose.yml say with processes in network namespaces; packaging.sh says what that needs."""

import glob, json, os, re, shlex, shutil, signal, socket, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request
import yaml

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DOCKER = os.path.join(ROOT, "docker")
USER = "1654"  # $APP_UID of Microsoft's images.
BRIDGE, NETWORK = "aruspack", "10.78.0"
READY_LIMIT, ROWS_LIMIT = 120, 90
outcomes = []


def check(name, is_true, detail=""):
    outcomes.append(bool(is_true))
    print(f"{'ok' if is_true else 'FAILED'}: {name}{'' if is_true or not detail else f' ({detail})'}", flush=True)
    return bool(is_true)


def wait_for(seconds, condition):
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return True
        except (OSError, ValueError):
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)


def run(*command, **how):
    return subprocess.run(command, check=True, capture_output=True, text=True, **how).stdout


class Image:
    """What the Dockerfile makes, below a folder instead of /."""

    def __init__(self, work):
        self.root, self.environment, self.health, self.entry = os.path.join(work, "image"), {}, None, None
        source, out = os.path.join(work, "build"), os.path.join(work, "out")
        os.makedirs(source)
        text = re.sub(r"\\\n", " ", open(os.path.join(DOCKER, "Dockerfile")).read())
        for line in (line.strip() for line in text.splitlines()):
            word, _, rest = line.partition(" ")
            if word == "COPY" and not rest.startswith("--from"):
                *files, target = rest.split()
                for file in files:
                    self._copy(os.path.join(ROOT, file), os.path.join(source, target, file) if target == "./" else os.path.join(source, target))
            elif word == "RUN" and rest.startswith("dotnet"):
                subprocess.run(rest.replace("/out/", f"{out}/"), shell=True, check=True, cwd=source, stdout=subprocess.DEVNULL)
            elif word == "COPY":
                _, origin, target = rest.split()
                self._copy(origin.replace("/out/", f"{out}/"), self.path(target))
            elif word == "ENV":
                self.environment.update(part.split("=", 1) for part in shlex.split(rest))
            elif word == "HEALTHCHECK":
                self.health = json.loads(rest[rest.index("CMD") + 3:])
            elif word == "ENTRYPOINT":
                self.entry = json.loads(rest)

    def path(self, path):
        return self.root + path

    @staticmethod
    def _copy(source, target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("bin", "obj"))
        else:
            shutil.copy(source, target)


class Network:
    """A namespace for each service, which knows the others by name, and its published ports on this machine."""

    def __init__(self, services):
        self.addresses = {name: f"{NETWORK}.{10 + i}" for i, name in enumerate(services)}
        self.close()
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        for i, (name, address) in enumerate(self.addresses.items()):
            space = self.space(name)
            run("ip", "netns", "add", space)
            run("ip", "link", "add", f"{BRIDGE}{i}", "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", f"{BRIDGE}{i}", "master", BRIDGE, "up")
            run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
            run("ip", "-n", space, "link", "set", "lo", "up")
            os.makedirs(f"/etc/netns/{space}", exist_ok=True)
            with open(f"/etc/netns/{space}/hosts", "w") as hosts:
                hosts.write("127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for n, a in self.addresses.items()))

    @staticmethod
    def space(name):
        return f"{BRIDGE}-{name}"

    def within(self, name, *command):
        return ["ip", "netns", "exec", self.space(name), *command]

    def publish(self, name, port):
        listener = socket.create_server(("127.0.0.1", port["published"]))

        def pump(one, other):
            try:
                while data := one.recv(65536):
                    other.sendall(data)
            except OSError:
                pass
            finally:
                other.close()

        def accept():
            while True:
                client, _ = listener.accept()
                try:
                    server = socket.create_connection((self.addresses[name], port["target"]))
                except OSError:
                    client.close()
                    continue
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def close(self):
        for name in self.addresses:
            subprocess.run(["ip", "netns", "del", self.space(name)], capture_output=True)
            shutil.rmtree(f"/etc/netns/{self.space(name)}", ignore_errors=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)


def start(network, work, name, command, environment, user, started):
    output = open(os.path.join(work, f"{name}.out"), "w")
    command = network.within(name, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command)
    started[name] = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd="/", start_new_session=True)


def start_postgres(network, work, settings, started):
    binaries = os.path.dirname(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))[-1])
    folder = os.path.join(work, "postgres")
    os.makedirs(folder)
    with open(os.path.join(folder, "password"), "w") as password:
        password.write(settings["POSTGRES_PASSWORD"])
    shutil.chown(folder, "postgres")
    shutil.chown(os.path.join(folder, "password"), "postgres")
    user, data = settings["POSTGRES_USER"], os.path.join(folder, "data")
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    run(*as_postgres, f"{binaries}/initdb", "-D", data, "-U", user, "-A", "scram-sha-256", f"--pwfile={folder}/password", "-E", "UTF8", cwd=folder)
    with open(os.path.join(data, "pg_hba.conf"), "a") as rules:
        rules.write("host all all all scram-sha-256\n")
    create = f"{binaries}/postgres", "--single", "-D", data, "postgres"
    run(*as_postgres, *create, input=f"CREATE DATABASE {settings['POSTGRES_DB']};\n", cwd=folder)
    command = [f"{binaries}/postgres", "-D", data, "-k", folder, "-c", "listen_addresses=*"]
    start(network, work, "postgres", command, dict(os.environ), "postgres", started)


def query(network, expression):
    url = f"http://{network.addresses['prometheus']}:9090/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def check_grafana(services):
    dashboard = json.load(open(os.path.join(DOCKER, "grafana", "dashboards", "arus.json")))
    sources = yaml.safe_load(open(os.path.join(DOCKER, "grafana", "provisioning", "datasources", "prometheus.yml")))["datasources"]
    providers = yaml.safe_load(open(os.path.join(DOCKER, "grafana", "provisioning", "dashboards", "arus.yml")))["providers"]
    targets = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    check("the dashboards' folder is mounted where Grafana looks", providers[0]["options"]["path"] in targets)
    check("Grafana's data source is a service", urllib.parse.urlparse(sources[0]["url"]).hostname in services)
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    check("every panel asks that data source", {panel["datasource"]["uid"] for panel in panels} == {sources[0]["uid"]})
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def test(work, started):
    services = yaml.safe_load(run("docker-compose", "-f", os.path.join(DOCKER, "compose.yml"), "config"))["services"]
    brokers = sorted(name for name in services if name.startswith("broker-"))
    check("docker-compose reads compose.yml, with three brokers", len(brokers) == 3)
    expressions = check_grafana(services)
    image = Image(work)
    check("the Dockerfile's steps make a server and a command line", all(
        os.access(image.path(path), os.X_OK) for path in (image.entry[0], "/opt/arus/cli/arus")))

    network = Network([name for name in services if name != "grafana"])
    try:
        start_postgres(network, work, services["postgres"]["environment"], started)
        for name in brokers:
            data = os.path.join(work, name)
            os.makedirs(data)
            os.chown(data, int(USER), int(USER))
            environment = {**image.environment, **services[name]["environment"], "HOME": data, "ARUS_LOG_DIR": data}
            environment["PATH"] = os.environ["PATH"]
            start(network, work, name, [image.path(image.entry[0])], environment, USER, started)
            for port in services[name]["ports"]:
                network.publish(name, port)
        volumes = dict(reversed(volume.split(":")[:2]) for volume in services["prometheus"]["volumes"])
        arguments = services["prometheus"]["command"]
        for inside, outside in volumes.items():
            outside = outside if os.path.isabs(outside) else os.path.join(work, "prometheus-data")
            arguments = [re.sub(f"={re.escape(inside)}$", f"={outside}", argument) for argument in arguments]
        start(network, work, "prometheus", ["prometheus", *arguments], dict(os.environ), "root", started)

        def is_healthy(name):
            return subprocess.run(network.within(name, *image.health), capture_output=True).returncode == 0
        for name in brokers:
            check(f"the health check of {name} succeeds", wait_for(READY_LIMIT, lambda: is_healthy(name)))

        outside = sorted(f"localhost:{port['published']}" for name in brokers for port in services[name]["ports"])
        check("Kafka clients of this machine are told its ports", wait_for(30, lambda: sorted(
            broker["name"] for broker in json.loads(run("kcat", "-b", outside[0], "-L", "-J"))["brokers"]) == outside))

        def arus(*arguments, **how):
            environment = {**os.environ, "ARUS_CLI_GATEWAY": ",".join(f"{name}:30000" for name in brokers)}
            return run(*network.within(brokers[0], image.path("/opt/arus/cli/arus"), *arguments), env=environment, **how)
        arus("topic", "create", "lines", "--partitions", "6")
        check("a topic has three copies", '"replicas":[' in (described := arus("topic", "describe", "lines", "--json").replace(" ", ""))
              and re.search(r'"replicas":\[\d,\d,\d\]', described.replace("\n", "")) is not None, described[:300])

        def load():
            while not stopping.is_set():
                run("kcat", "-q", "-b", ",".join(outside), "-P", "-t", "lines", "-l", lines)
                run("kcat", "-q", "-b", ",".join(outside), "-e", "-X", "auto.offset.reset=earliest", "-G", "readers", "lines")
        lines, stopping = os.path.join(work, "lines"), threading.Event()
        with open(lines, "w") as file:
            file.writelines(f"line {i}\n" for i in range(2000))
        loading = threading.Thread(target=load, daemon=True)
        loading.start()
        check("Prometheus scrapes three brokers", wait_for(60, lambda: query(network, 'sum(up{job="arus"})')[0]["value"][1] == "3"))
        for title, expression in expressions:
            check(f"the dashboard has rows: {title}: {expression}", wait_for(ROWS_LIMIT, lambda: query(network, expression)))
        stopping.set()
        loading.join(120)
        for name in brokers:
            grace = int(services[name]["stop_grace_period"].rstrip("s").replace("1m", "60") or 60)
            started[name].send_signal(signal.SIGTERM)
            try:
                code = started[name].wait(grace)
            except subprocess.TimeoutExpired:
                code = None
            check(f"{name} stops on SIGTERM within its grace period", code == 0, f"exit code {code}")
    finally:
        for process in started.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        network.close()


def main():
    work = tempfile.mkdtemp(prefix="arus-packaging-")
    os.chmod(work, 0o755)
    try:
        test(work, {})
    except subprocess.CalledProcessError as failure:
        check(f"{shlex.join(map(str, failure.cmd)) if isinstance(failure.cmd, (list, tuple)) else failure.cmd}", False, f"{failure.stdout or ''} {failure.stderr or ''}".strip()[-2000:])
    if not all(outcomes):
        for output in sorted(glob.glob(os.path.join(work, "*.out"))):
            print(f"-- {os.path.basename(output)}\n" + "".join(open(output).readlines()[-20:]))
    shutil.rmtree(work, ignore_errors=True)
    print(f"{outcomes.count(True)} passed, {outcomes.count(False)} failed")
    sys.exit(0 if all(outcomes) else 1)


main()
