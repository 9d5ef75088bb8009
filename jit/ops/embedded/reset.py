"""`make reset`: delete an embedded installation, the clusters that live elsewhere included."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys

from jit.ops.embedded import ground
from jit.ops.embedded.demo_host import GUEST, is_there
from jit.ops.embedded.installation import OWN_FILES, OWN_FOLDERS, AlreadyRunning, take_lock
from jit.ops.embedded.supervisor import Unusable, place_of


def main() -> int:
    """Delete the data folder of JIT_DATA; return the exit code."""
    try:
        place = place_of(dict(os.environ))
        if not (place.data / "installation").exists():
            sys.stdout.write(f"there is no embedded installation in {place.data}\n")
            return 0
        take_lock(place)
        home = ground.home(place.data)
    except (Unusable, AlreadyRunning, ground.NoGround) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    if home != place.data:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(home.with_name(f"{home.name}.old"), ignore_errors=True)
        shutil.rmtree(home.with_name(f"{home.name}-host"), ignore_errors=True)
    for name in OWN_FOLDERS:
        shutil.rmtree(place.data / name, ignore_errors=True)
    for name in OWN_FILES:  # By name: somebody may have put a file of theirs into the folder.
        (place.data / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        place.data.rmdir()
    sys.stdout.write(f"deleted {place.data}\n")
    if os.geteuid() == 0 and is_there():
        # Another installation of this machine may use it, so it goes on somebody's word only.
        sys.stdout.write(f"the account {GUEST} stays; to remove it: userdel --remove {GUEST}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
