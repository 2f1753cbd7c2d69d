"""Random policies against real packets: a second reading of the language decides what must arrive.

Each policy is a list of rules by `authors.py`, and chains that they lead to. The first rule that holds decides, else
the chain's policy. What the kernel lets through must be exactly that.

`LOCKDOWN_SEED` and `LOCKDOWN_POLICIES` choose another run; a failure prints the policy and its seed.
"""

import dataclasses
import os

import support
from authors import Author
from packets import TCP, UDP
from support import setUpModule  # noqa: F401 (unittest finds it here)
from universe import REDIRECTED_PORT, HostUniverse, ProbeTestCase, RouterUniverse

SEED = int(os.environ.get("LOCKDOWN_SEED", 1))
POLICIES = int(os.environ.get("LOCKDOWN_POLICIES", 60))


class SemanticsTestCase(ProbeTestCase):
    def judge(self, hook, count):
        verdicts = passed = 0
        for seed in range(SEED * 1000, SEED * 1000 + count):
            text, passes = Author(seed, hook).policy()
            support.compile_policy(text).apply(self.host)
            expected = {probe.number for probe in self.universe if passes(probe)}
            self.assert_probes(self.send(), expected, "policy %d\n%s" % (seed, text))
            verdicts += len(self.universe)
            passed += len(expected)
        support.note("%d policies, %d verdicts, %d of them accept" % (count, verdicts, passed))


class Host(HostUniverse, SemanticsTestCase):
    def test_random_policies(self):
        self.judge("input", POLICIES)

    def test_before_translation(self):
        """In prerouting a packet still has the port it was sent to, and has not been translated."""
        self.universe = [
            dataclasses.replace(probe, port=REDIRECTED_PORT, is_translated=False) if probe.is_translated else probe
            for probe in self.universe]
        self.judge("prerouting", POLICIES // 2)


class Router(RouterUniverse, SemanticsTestCase):
    def test_random_policies(self):
        """The same for packets and fragments that are forwarded, without connection tracking."""
        # Their bytes may look like ports: test_complements.Forward.test_fragments_that_look_like_a_port.
        self.universe = [probe for probe in self.universe if probe.part != "later" or probe.protocol not in (TCP, UDP)]
        self.judge("forward", POLICIES // 2)
