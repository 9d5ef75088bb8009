"""An embedded cluster: real, on loopback, with passwords, loosening nothing."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from jit.ops.embedded import ground
from jit.ops.embedded.postgres import Cluster, CommandFailed


@pytest.fixture
def home() -> Iterator[Path]:
    import shutil

    folder = ground.throw_away_home()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cluster(home, tmp_path) -> Iterator[Cluster]:
    made = Cluster(
        name="cluster", home=home, password="only-here", log=tmp_path / "log", lasting=False
    )
    yield made
    made.stop()


def modes_around(*places: Path) -> dict[Path, tuple[int, int, int]]:
    """Return mode and owner of every folder above the places, and of what lies beside them."""
    steps = {step for place in places for step in [place.parent, *place.parent.parents]}
    steps |= {each for place in places for each in place.parent.iterdir() if each != place}
    seen = {}
    for step in steps:
        with contextlib.suppress(FileNotFoundError):
            seen[step] = step.lstat()
    return {
        step: (stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid)
        for step, at in seen.items()
        if not stat.S_ISLNK(at.st_mode)
    }


class TestStart:
    def test_changes_no_permission_outside_the_data_folder(self, cluster, home, tmp_path):
        """As root, the wheel's own start-up code opened every parent folder to the world."""
        private = tmp_path / "private"
        private.mkdir(mode=0o700)
        data = private / "data"
        data.mkdir(mode=0o700)
        around = (data, home)
        before = modes_around(*around)
        placed = ground.home(data)
        cluster.start()
        assert cluster.sql("SELECT 1") == "1"
        cluster.stop()
        now = modes_around(*around)
        if placed != data:
            placed.rmdir()
        there = before.keys() & now.keys()  # other installations come and go beside this one
        assert {step: now[step] for step in there} == {step: before[step] for step in there}
        assert {*data.parents, *home.parents} <= there
        assert private.stat().st_mode & 0o777 == 0o700

    def test_keeps_the_data_to_its_owner(self, cluster):
        cluster.start()
        assert cluster.folder.stat().st_mode & 0o077 == 0
        assert cluster.folder.stat().st_uid == (a.uid if (a := ground.account()) else os.geteuid())

    def test_runs_as_an_unprivileged_account(self, cluster):
        cluster.start()
        assert Path(f"/proc/{cluster.pid}").stat().st_uid != 0

    def test_asks_for_the_password(self, cluster):
        cluster.start()
        url = cluster.url(user="postgres", password="wrong", database="postgres")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url)

    def test_listens_on_loopback_alone(self, cluster):
        cluster.start()
        assert cluster.sql("SHOW listen_addresses; SHOW unix_socket_directories") == "127.0.0.1"

    def test_starts_again_with_its_data_on_its_port(self, cluster):
        cluster.start()
        port = cluster.port
        cluster.sql("CREATE TABLE kept AS SELECT 42 AS answer")
        cluster.sql("CHECKPOINT")
        cluster.stop()
        cluster.start()
        assert cluster.port == port
        assert cluster.sql("SELECT answer FROM kept") == "42"

    def test_takes_over_from_a_server_that_a_killed_supervisor_left(self, cluster, home, tmp_path):
        cluster.start()
        cluster.sql("CREATE TABLE kept ()")
        left = cluster.pid
        again = Cluster(
            name="cluster", home=home, password="only-here", log=tmp_path / "log", lasting=False
        )
        again.start()
        try:
            assert again.pid != left
            assert again.sql("SELECT count(*) FROM kept") == "0"
        finally:
            again.stop()


class TestCreate:
    def test_leaves_nothing_by_its_name_if_it_fails(self, cluster, home, monkeypatch):
        monkeypatch.setattr(Cluster, "_locale", lambda _self: ["--locale=xx_NOT_THERE"])
        with pytest.raises(CommandFailed, match="locale"):
            cluster.create()
        assert not cluster.folder.exists()
        assert not list(home.glob("*.password"))

    def test_lowers_letters_of_every_alphabet(self, cluster):
        cluster.start()
        assert cluster.sql("SELECT lower('ÅÉЖ')") == "åéж"


class TestSql:
    def test_stops_at_the_first_error_and_says_it(self, cluster):
        cluster.start()
        with pytest.raises(CommandFailed, match="division by zero"):
            cluster.sql("SELECT 1/0; CREATE TABLE never ()")
        assert cluster.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'never'") == "0"
