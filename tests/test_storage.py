"""Versions on object storage: what DVC pushes to an S3 server comes back the same, crawl by crawl."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
DVC_YAML = """stages:
  ingest:
    foreach: [alpha, beta]
    do:
      cmd: python make.py ${item}
      deps: [make.py]
      outs:
        - data/images/${item}: {persist: true}
        - data/embeddings/${item}: {persist: true}
"""
MAKE = """
import hashlib, pathlib, sys
for name in ("images", "embeddings"):
    folder = pathlib.Path("data", name, sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for shard in ("00000", "00001"):
        (folder / shard).write_bytes(hashlib.sha256(f"{folder}/{shard}".encode()).digest() * 10_000)
"""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server on loopback that has a bucket named sluice."""
    server_module = pytest.importorskip("moto.server", reason="no moto here: uv sync")
    import boto3

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="sluice")
    yield address
    server.stop()


def dvc(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=folder, capture_output=True, text=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stored(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / "data").rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_a_version_goes_to_the_bucket_and_comes_back_crawl_by_crawl(bucket: str, tmp_path: Path) -> None:
    pytest.importorskip("dvc_s3", reason="no dvc-s3 here: install the extra `s3`")
    project = tmp_path / "project"
    project.mkdir()
    (project / "dvc.yaml").write_text(DVC_YAML)
    (project / "make.py").write_text(MAKE)
    dvc(project, "init", "--no-scm", "--quiet")
    dvc(project, "remote", "add", "--default", "store", "s3://sluice/versions")
    dvc(project, "remote", "modify", "store", "endpointurl", bucket)
    dvc(project, "repro", "--quiet")
    before = stored(project)
    dvc(project, "push", "--quiet")
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc" / "cache")
    dvc(project, "pull", "--quiet", "ingest@alpha")
    alpha = {name: content for name, content in before.items() if "/alpha/" in name}
    assert len(alpha) == 4
    assert stored(project) == alpha
    dvc(project, "pull", "--quiet")
    assert stored(project) == before
    assert "Data and pipelines are up to date" in dvc(project, "status")
