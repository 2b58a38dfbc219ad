"""Nothing in the source runs what it reads: a walk over the syntax of every module, which is shown to find each way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tamis"

FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "__builtins__", "execfile", "breakpoint"}
FORBIDDEN_MODULES = {
    "pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve", "dbm", "torch",
    "tensorflow", "keras", "runpy",
    "code", "codeop", "ctypes", "cffi", "imp", "pty", "commands", "numexpr", "builtins", "jsonpickle", "pdb",
    "timeit",
}  # fmt: skip
# what stands behind a dot, whatever stands before it
FORBIDDEN_ATTRIBUTES = {
    "system", "popen", "execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "execlpe", "spawnl",
    "spawnv", "spawnve",
    "posix_spawn", "getoutput", "getstatusoutput", "import_module", "exec_module", "load_module", "load_source",
    "unsafe_load",
    "unsafe_load_all", "full_load", "full_load_all", "load_all", "UnsafeLoader", "FullLoader", "UnsafeConstructor",
    "read_pickle",
    "to_pickle", "__subclasses__", "__globals__", "__code__", "from_string", "extractall", "literal_eval",
}  # fmt: skip
FORBIDDEN_CALLS = {
    ("yaml", "load"), ("torch", "load"), ("joblib", "load"), ("pickle", "load"), ("jinja2", "Template"), ("pd",
    "eval"), ("builtins", "eval"),
    ("subprocess", "getoutput"), ("numpy", "memmap"), ("jnp", "load"), ("np", "loads"),
}  # fmt: skip
FORBIDDEN_ARGUMENTS = {"allow_pickle", "shell", "preexec_fn", "unsafe_load"}


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def findings(source: str) -> Iterator[str]:
    """Give every forbidden thing in a module, as text."""
    for node in ast.walk(ast.parse(source)):
        for module in imported(node):
            if module.split(".")[0] in FORBIDDEN_MODULES:
                yield f"module {module.split('.')[0]}"
            if (
                module.rpartition(".")[2] in FORBIDDEN_ATTRIBUTES
                or tuple(module.split(".")[-2:]) in FORBIDDEN_CALLS
            ):
                yield f"name {module}"
        match node:
            case ast.Name(id=name) if name in FORBIDDEN_NAMES:
                yield f"name {name}"
            case ast.Attribute(value=ast.Name(id=before), attr=name) if (before, name) in FORBIDDEN_CALLS:
                yield f"{before}.{name}"
            case ast.Attribute(attr=name) if name in FORBIDDEN_ATTRIBUTES:
                yield f"attribute {name}"
            case ast.keyword(arg=str(name)) if name in FORBIDDEN_ARGUMENTS:
                yield f"argument {name}"
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]
            ) if name in FORBIDDEN_ATTRIBUTES | FORBIDDEN_NAMES:
                yield f"attribute {name}"


SNIPPETS = {
    "eval": "eval('1')",
    "eval under another name": "f = eval\nf('1')",
    "exec": "exec('pass')",
    "compile": "compile('1', '', 'eval')",
    "__import__": "__import__('os')",
    "__builtins__": "__builtins__['eval']",
    "import pickle": "import pickle",
    "import pickle inside": "def f():\n    import pickle as p",
    "from pickle": "from pickle import loads",
    "import joblib": "import joblib",
    "import dill": "import dill",
    "import cloudpickle": "import cloudpickle",
    "import marshal": "import marshal",
    "import shelve": "import shelve",
    "import runpy": "import runpy",
    "import ctypes": "import ctypes",
    "import builtins": "import builtins",
    "allow_pickle": "np.load(path, allow_pickle=True)",
    "torch": "import torch\ntorch.load(path)",
    "torch.load": "torch.load(path)",
    "yaml.load": "yaml.load(text)",
    "from yaml import load": "from yaml import load",
    "yaml.unsafe_load": "yaml.unsafe_load(text)",
    "yaml.full_load": "yaml.full_load(text)",
    "yaml.UnsafeLoader": "yaml.YAML(Loader=yaml.UnsafeLoader)",
    "from yaml import UnsafeLoader": "from yaml import UnsafeLoader",
    "os.system": "os.system('id')",
    "os.system under another name": "import os as o\no.system('id')",
    "from os import system": "from os import system",
    "os.popen": "os.popen('id')",
    "os.execv": "os.execv('/bin/sh', [])",
    "getattr": "getattr(os, 'system')('id')",
    "shell": "subprocess.run('id', shell=True)",
    "shell by variable": "subprocess.Popen('id', shell=flag)",
    "subprocess.getoutput": "subprocess.getoutput('id')",
    "importlib": "importlib.import_module(name)",
    "from importlib import import_module": "from importlib import import_module",
    "pandas": "pd.read_pickle(path)",
    "jinja2.Template": "jinja2.Template(text)",
    "a template from a text": "environment.from_string(text)",
    "subclasses": "().__class__.__base__.__subclasses__()",
    "archives": "tarfile.open(path).extractall()",
}
HARMLESS = """
import re, yaml, subprocess, json
import numpy as np
pattern = re.compile("a")
document = yaml.dump(1, Dumper=yaml.SafeDumper)
found = subprocess.run(["g++", "-o", "a"], check=False)
numbers = np.load("a.npy")
model = json.loads("{}")
words = "eval(exec)"
class Loader(yaml.SafeLoader):
    evaluation = 1
evaluate(model.evaluation)
"""


@pytest.mark.parametrize("snippet", SNIPPETS.values(), ids=SNIPPETS)
def test_each_way_to_run_foreign_code_is_found(snippet: str) -> None:
    assert list(findings(snippet))


def test_what_only_looks_alike_is_not_found() -> None:
    assert not list(findings(HARMLESS))


ALLOWED = {
    # it builds and saves a model of HGQ2, which is made of Keras, and loads none
    ("export/fpga_translation.py", "module keras"),
    # the public names, imported when they are first used, from a table of its own
    ("__init__.py", "name importlib.import_module"),
    # the modules with the figures and the keys of a study, named by the study itself
    ("studies/study.py", "name importlib.import_module"),
}


def test_nothing_in_the_source_can_run_foreign_code() -> None:
    paths = sorted(SOURCE.rglob("*.py"))
    assert len(paths) > 100
    found = {
        (path.relative_to(SOURCE).as_posix(), finding)
        for path in paths
        for finding in findings(path.read_text(encoding="utf-8"))
    }
    assert found == ALLOWED
    assert "load_model" not in (SOURCE / "export" / "fpga_translation.py").read_text(encoding="utf-8")


def test_processes_are_started_from_lists_alone() -> None:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="subprocess")), args=[first, *_]):
                    assert isinstance(first, ast.List | ast.Name), path
                    assert not isinstance(first, ast.Constant | ast.JoinedStr), path
