"""`python -m services.servers.filesystem`."""

from services.servers.filesystem.server import body_bytes, build
from services.servers.filesystem.settings import FilesystemSettings
from services.servers.kit import run

if __name__ == "__main__":
    run(FilesystemSettings, build, body_bytes=body_bytes)
