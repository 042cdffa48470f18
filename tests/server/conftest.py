"""A server that holds the small model, for the tests that do not disturb it."""
import pytest
from server_models import server_with_model


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("server"))
    yield server
    server.close()
