"""`make reset`: delete an embedded installation, the clusters that live elsewhere included."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.demo_host import GUEST, is_there
from jit.ops.embedded.installation import (
    OWN_FILES,
    OWN_FOLDERS,
    AlreadyRunning,
    Installation,
    Place,
)
from jit.ops.embedded.postgres import CommandFailed
from jit.ops.embedded.supervisor import Unusable, place_of


def main() -> int:
    """Delete the data folder of JIT_DATA, after stopping what a killed start left running on it;
    return the exit code.
    """
    try:
        place = place_of(dict(os.environ))
        if not _is_there(place):
            sys.stdout.write(f"there is no embedded installation in {place.data}\n")
            return 0
        here = Installation(place)
        for name in [*here.stop_leftovers(), *here.stop_left_clusters()]:
            sys.stdout.write(f"stopped {name}, left behind by a start that was killed\n")
    except (Unusable, AlreadyRunning, ground.NoGround, CommandFailed) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    if here.home != place.data:
        _delete_elsewhere(here.home)
    for name in OWN_FOLDERS:
        shutil.rmtree(place.data / name, ignore_errors=True)
    for name in OWN_FILES:  # By name: somebody may have put a file of theirs into the folder.
        (place.data / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        place.data.rmdir()
    also = "" if here.home == place.data else f" and its databases in {here.home}"
    sys.stdout.write(f"deleted {place.data}{also}\n")
    if os.geteuid() == 0 and is_there():
        # Another installation of this machine may use it, so it goes on somebody's word only.
        sys.stdout.write(f"the account {GUEST} stays; to remove it: userdel --remove {GUEST}\n")
    return 0


def _is_there(place: Place) -> bool:
    """Return whether there is an installation, or (for root) databases whose data folder somebody
    deleted by hand.
    """
    if (place.data / "installation").exists():
        return True
    if ground.account() is None:
        return False
    home = ground.home(place.data)
    there = any(home.iterdir()) or _old(home).exists()
    if not there:
        _delete_elsewhere(home)
    return there


def _old(home: Path) -> Path:
    return home.with_name(f"{home.name}.old")


def _delete_elsewhere(home: Path) -> None:
    for folder in (home, _old(home), home.with_name(f"{home.name}-host")):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
