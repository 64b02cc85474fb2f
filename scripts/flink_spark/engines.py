"""Flink and Spark with Beam's job server, from Maven and PyPI, as processes of this machine."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scripts.clusters import ROOT, descendants, free_port, kill, listening

OUT = ROOT / "out" / "flink-spark"
WAIT = 60  # seconds for a process to be up

# The runner of Beam, and what PyPI has the engine itself in: of Spark 3.5, whose jars are under
# another folder of the archive than Flink's.
RUNNERS = {"flink": "beam-runners-flink-1.19", "spark": "beam-runners-spark-3"}
DISTRIBUTIONS = {"flink": "apache-flink-libraries==1.19.3", "spark": "pyspark==3.5.7"}

OPENED = (
    "lang lang.invoke lang.reflect util util.concurrent util.concurrent.atomic nio io net time text"
)
JAVA = [
    "java",
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED.split()),
    *(
        f"--add-opens=java.base/sun.{name}=ALL-UNNAMED"
        for name in ("nio.ch", "nio.cs", "security.action", "util.calendar")
    ),
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
]


def install(engine: str) -> None:
    """Lays the jars of Beam's job server into OUT/ENGINE/jars, and the engine into its dist."""
    folder = OUT / engine
    if (folder / "installed").exists():
        return
    print(f"{engine}: its jars from Maven and PyPI into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("pom.xml"), folder)
    copy = ["mvn", "-q", "-B", f"-Drunner={RUNNERS[engine]}", "dependency:copy-dependencies"]
    subprocess.run([*copy, f"-DoutputDirectory={folder / 'jars'}"], cwd=folder, check=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder]
    subprocess.run([*pip, DISTRIBUTIONS[engine]], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
    (source,) = folder.glob(archive.name.removesuffix(".tar.gz"))
    (source / "deps").rename(folder / "dist")
    shutil.rmtree(source)
    if engine == "spark":
        keep_spark_jars(folder)
    (folder / "installed").touch()


def keep_spark_jars(folder: Path) -> None:
    """Leaves out of the job server's jars those that Spark has itself, and its logging's."""
    theirs = {jar.name for jar in (folder / "dist/jars").glob("*.jar")}
    logging = ("slf4j-", "log4j-", "jcl-over-slf4j", "jul-to-slf4j")
    scala = ("spark-", "scala-", "json4s", "jackson-module-scala")
    for jar in (folder / "jars").glob("*.jar"):
        if jar.name in theirs or jar.name.startswith(logging + scala):
            jar.unlink()


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for something, for a minute."""
    for _ in range(WAIT * 10):
        if condition():
            return
        time.sleep(0.1)
    sys.exit(f"flink-spark: {what}: not up within {WAIT} s")


class Engine:
    """The processes of an engine, with a log each, which end with the block they were made for."""

    def __init__(self, name: str, ends: ExitStack) -> None:
        self.ends, self.logs = ends, OUT / "logs"
        self.folder = OUT / name
        self.workers: list[subprocess.Popen] = []
        self.rest = 0
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)

    def start(self, name: str, command: list, **environment: str) -> subprocess.Popen:
        log = self.ends.enter_context((self.logs / f"{name}.log").open("w"))
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            cwd=self.logs,
        )

        def end() -> None:
            for pid in [process.pid, *descendants(process.pid)]:
                kill(pid)
            process.wait()

        self.ends.callback(end)
        return process

    def log(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text(errors="replace")

    def job_server(self, command: list) -> None:
        """Starts the job server, whose options a command ends with, and waits for it."""
        self.endpoint = f"127.0.0.1:{(port := free_port())}"
        ports = [f"--job-port={port}"]
        ports += [f"--{name}-port={free_port()}" for name in ("artifact", "expansion")]
        self.start("jobserver", [*command, "--job-host=127.0.0.1", *ports])
        until(lambda: listening(port), "the job server")

    def get(self, path: str) -> dict:
        """An answer of Flink's or Spark's own REST interface, or {} where there is none yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return {}


# What Flink's own scripts compute for a task manager has to stand here in full.
FLINK = """
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: 127.0.0.1
jobmanager.memory.process.size: 900m
taskmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.numberOfTaskSlots: 1
taskmanager.cpu.cores: 1.0
taskmanager.memory.task.heap.size: 256m
taskmanager.memory.task.off-heap.size: 0m
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
taskmanager.memory.managed.size: 128m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 128m
taskmanager.memory.jvm-overhead.max: 128m
parallelism.default: 2
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
heartbeat.timeout: 15000
heartbeat.interval: 3000
"""
RESTARTS = """
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 5
restart-strategy.fixed-delay.delay: 3 s
"""
LOGGING = """
rootLogger.level = INFO
rootLogger.appenderRef.c.ref = C
appender.c.name = C
appender.c.type = CONSOLE
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""


@contextmanager
def flink(cluster: bool, restarts: bool = False) -> Iterator[Engine]:
    """Flink inside the job server, or a job manager and two task managers of one slot."""
    with ExitStack() as ends:
        e = Engine("flink", ends)
        e.rest = free_port()
        config = FLINK.format(rest=e.rest, rpc=free_port()) + (RESTARTS if restarts else "")
        (e.logs / "config.yaml").write_text(config)
        (e.logs / "log4j.properties").write_text(LOGGING)
        java = [*JAVA, f"-Dlog4j2.configurationFile={e.logs}/log4j.properties"]
        java += ["-cp", f"{e.folder}/dist/lib/*"]
        package = "org.apache.flink.runtime"
        master = "[local]"
        if cluster:
            master = f"127.0.0.1:{e.rest}"
            entry = f"{package}.entrypoint.StandaloneSessionClusterEntrypoint"
            e.start("jobmanager", [*java, "-Xmx400m", entry, "--configDir", e.logs])
            manager = f"{package}.taskexecutor.TaskManagerRunner"

            def worker() -> None:
                name = f"taskmanager{len(e.workers)}"
                memory = ["-Xmx500m", "-XX:MaxDirectMemorySize=400m", "-XX:MaxMetaspaceSize=256m"]
                started = e.start(name, [*java, *memory, manager, "--configDir", e.logs])
                e.workers.append(started)

            worker()
            worker()
            e.another = worker
            until(lambda: e.get("/overview").get("slots-total") == 2, "Flink")
        driver = "org.apache.beam.runners.flink.FlinkJobServerDriver"
        server = [*JAVA, "-Xmx800m", "-cp", f"{e.folder}/jars/*", driver]
        e.job_server([*server, f"--flink-master={master}", f"--flink-conf-dir={e.logs}"])
        yield e


@contextmanager
def spark(cluster: bool) -> Iterator[Engine]:
    """Spark inside the job server, or a master and two workers of one core."""
    with ExitStack() as ends:
        e = Engine("spark", ends)
        jars = f"{e.folder}/dist/jars/*"
        # Beam's guava is newer than Spark's, and goes before it.
        newer = [*(e.folder / "jars").glob("guava-*"), *(e.folder / "jars").glob("failureaccess-*")]
        guava = ":".join(map(str, newer))
        master = "local[2]"
        # without the version: "Cannot find any build directories"
        home = {"SPARK_HOME": f"{e.folder}/dist", "SPARK_SCALA_VERSION": "2.12"}
        home["SPARK_LOCAL_IP"] = "127.0.0.1"
        if cluster:
            e.rest, port = free_port(), free_port()
            master = f"spark://127.0.0.1:{port}"
            java, package = [*JAVA, "-Xmx256m", "-cp", jars], "org.apache.spark.deploy"
            here = ["--host", "127.0.0.1"]
            web = ["--webui-port", e.rest]
            e.start(
                "master", [*java, f"{package}.master.Master", *here, "--port", port, *web], **home
            )
            until(lambda: listening(port), "Spark's master")
            for i in range(2):
                worker = [*java, f"{package}.worker.Worker", *here, "--cores", 1, "--memory", "1g"]
                work = e.logs / f"work{i}"  # with a copy of all jars for each executor
                ends.callback(shutil.rmtree, work, ignore_errors=True)
                folder = {"SPARK_WORKER_DIR": str(work)}
                started = e.start(
                    f"worker{i}", [*worker, "--webui-port", free_port(), master], **home, **folder
                )
                e.workers.append(started)
            until(lambda: e.get("/json/").get("aliveworkers") == 2, "Spark's workers")
        options = {
            "driver.host": "127.0.0.1",
            "driver.bindAddress": "127.0.0.1",
            "ui.enabled": "false",
            "executor.extraClassPath": guava,
            "executor.memory": "700m",
            "executor.cores": "1",
            "cores.max": "2",
        }
        driver = "org.apache.beam.runners.spark.SparkJobServerDriver"
        server = [*JAVA, "-Xmx1200m", *(f"-Dspark.{k}={v}" for k, v in options.items())]
        path = f"{guava}:{jars}:{e.folder}/jars/*"
        e.job_server([*server, "-cp", path, driver, f"--spark-master-url={master}"])
        yield e
