"""The bundled turn, for all tests of a capture."""

from tests.fixtures.turning import turn  # noqa: F401
