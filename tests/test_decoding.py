"""Many threads may meet a type for the first time at once: msgspec alone ends the process then."""

import ast
import subprocess
import sys

import pytest

from tests.house.documents import ROOT, parsed

SCRIPT = '''
import sys, threading, types
from reconciler.decoding import decoded
sys.setswitchinterval(1e-6)
SOURCE = """
from msgspec import Struct
class Inner(Struct):
    x: "dict[str, tuple[str, ...]]" = {}
    y: "str | None" = None
    z: "list[dict[str, int]]" = []
class Outer(Struct):
    one: Inner
    many: "tuple[Inner, ...]" = ()
    named: "dict[str, Inner]" = {}
"""
DATA = b'{"one": {"x": {"a": ["b"]}, "z": [{"a": 1}]}, "many": [{"y": "c"}], "named": {"d": {}}}'
def met(kind, start):
    start.wait()
    assert decoded(DATA, kind).many[0].y == "c"
for number in range(150):
    module = sys.modules["made"] = types.ModuleType("made")
    exec(SOURCE, module.__dict__)
    start = threading.Barrier(8)
    threads = [threading.Thread(target=met, args=(module.Outer, start)) for _ in range(8)]
    [one.start() for one in threads]
    [one.join() for one in threads]
print("alive")
'''
FILES = [file for name in ("reconciler", "webhook", "dashboard") for file in sorted((ROOT / name).rglob("*.py"))]
MAKERS = ("msgspec.convert", "msgspec.json.Decoder", "msgspec.msgpack.Decoder")


def test_a_type_that_many_threads_meet_at_once_ends_no_process() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


@pytest.mark.xdist_group("house")  # the worker that reads every module of ours
def test_every_decoder_is_made_there() -> None:
    calls = [
        (f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), {each.arg for each in node.keywords})
        for file in FILES
        if file.name != "decoding.py"
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Call)
    ]
    own = [
        place
        for place, called, given in calls
        if called in MAKERS or (called.startswith("msgspec.") and "type" in given)
    ]
    assert not own, "reconciler.decoding makes decoders"
