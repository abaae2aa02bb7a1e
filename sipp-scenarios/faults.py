"""A network that can be made to fail: a namespace of the kernel's around the whole run, with nftables in it.

Everything is dropped or refused where it arrives: a packet dropped on its way out would be an error to its sender.
"""

import os
import subprocess
import sys

from harness import Failure

INSIDE = "TRUNKLINE_FLOWS_IN_NAMESPACE"


def enter_namespace():
    """Starts this program again in a network namespace of its own; goes on as it is where the kernel refuses one."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.execvpe(unshare[0], [*unshare, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


def is_inside():
    return INSIDE in os.environ


def prepare_namespace():
    """Loopback, and a network that leads nowhere: without an address other than loopback's baresip does nothing."""
    for command in ("link set lo up", "link add lan type veth peer name nowhere",
                    "addr add 192.0.2.1/24 dev lan", "link set lan up", "link set nowhere up"):
        subprocess.run(["ip", *command.split()], check=True)
    nft("add table inet faults", "add chain inet faults input { type filter hook input priority 0 ; }")


def nft(*commands):
    subprocess.run(["nft", "-f", "-"], input="\n".join(commands) + "\n", text=True, check=True)


class Faults:
    """What is wrong with the network of one case; all is well again when the block is left."""

    def __init__(self, case):
        if not is_inside():
            raise Failure("the kernel refuses this user a network namespace (unshare --net), so nothing can be made to fail")
        self.chain = f"case_{case.network.bridge.replace('.', '_')}"

    def __enter__(self):
        nft(f"add chain inet faults {self.chain}", f"add rule inet faults input jump {self.chain}")
        return self

    def __exit__(self, *_):
        self.heal()

    def heal(self):
        nft(f"flush chain inet faults {self.chain}")

    def blackhole(self, match):
        """What matches vanishes."""
        self._add(match, "drop")

    def refuse(self, match, how):
        """What matches is refused: by a `tcp reset`, or by ICMP as in `icmp host-unreachable`."""
        self._add(match, f"reject with {how}")

    def lose_every(self, count, match):
        """One in `count` of what matches vanishes: never so many in a row by chance that a call must fail."""
        self._add(f"{match} numgen inc mod {count} 0", "drop")

    def _add(self, match, verdict):
        nft(f"add rule inet faults {self.chain} {match} counter {verdict}")


def between(one, other):
    """Both directions, as the two matches they are."""
    return f"ip saddr {one} ip daddr {other}", f"ip saddr {other} ip daddr {one}"
