"""Registries and servers of Cria that pull from them and push to them."""
import shutil

import pytest
from cria_server import Server
from docker_registry import Certificate, DockerRegistry
from fault_proxy import FaultProxy

SKIPPED = 77  # what ctest calls skipped


def pytest_configure():
    for program in ("docker-registry", "openssl"):
        if shutil.which(program) is None:
            pytest.exit(f"SKIPPED, NOTHING WAS TESTED: {program} is not installed (tools/setup test)", SKIPPED)


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A docker-registry without TLS or passwords."""
    registry = DockerRegistry(tmp_path_factory.mktemp("registry"))
    yield registry
    registry.close()


@pytest.fixture
def proxy(registry):
    """Counts what goes to the registry and can break it; its host is where the tests pull from."""
    proxy = FaultProxy(registry.port)
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def new_server(tmp_path):
    """Starts servers with stores of their own: new_server("name", SETTING="value")."""
    servers = []

    def start(name, **settings):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        server = Server(folder, **settings)
        server.models = folder / "models"
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.close()
