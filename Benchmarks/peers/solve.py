"""z3 on two lists of rules that accept TCP: is there a packet that one accepts and the other does not?

    solve.py OLD NEW SECONDS

A line of a list is a port and the first and last of some addresses. Printed is what z3 says, `unsat` where both are the
same, and after how many seconds, in which the formula was made too.
"""

import sys
import time

import z3


def accepted(path: str, port: z3.BitVecRef, address: z3.BitVecRef) -> z3.BoolRef:
    """First match, from the last rule to the first."""
    result = z3.BoolVal(False)
    with open(path) as lines:
        rules = [tuple(int(word) for word in line.split()) for line in lines]
    for number, first, last in reversed(rules):
        inside = z3.And(port == number, z3.UGE(address, first), z3.ULE(address, last))
        result = z3.If(inside, z3.BoolVal(True), result)
    return result


def main() -> None:
    old, new, patience = sys.argv[1:]
    begun = time.perf_counter()
    port, address = z3.BitVec("port", 16), z3.BitVec("address", 32)
    solver = z3.SolverFor("QF_BV")
    solver.set("timeout", int(patience) * 1000)
    solver.add(accepted(old, port, address) != accepted(new, port, address))
    said = solver.check()
    print(said, round(time.perf_counter() - begun, 3))


if __name__ == "__main__":
    main()
