from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, threading, time, torch, ostinato
from ostinato.cells import State, cell
torch.set_num_threads(1)

@cell(gates="a", states="h")
def other(x, s, U):
    return State(h=torch.tanh(x.a + U(s.h).a) * 0.33)

layer, x = ostinato.Recurrent(other, 3, 8, backend="compiled"), torch.randn(4, 2, 3)
from ostinato.locks import compiling, lock
more = lock()
held = threading.Event()

def hold():
    with compiling, more:
        held.set()
        time.sleep(0.5)

thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    layer(x)
    with more:
        os._exit(7)
layer(x)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_that_is_forked_while_another_thread_compiles_can_compile() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "7"
