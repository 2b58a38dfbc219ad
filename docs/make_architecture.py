"""Measure the size and the structure of the code, now and at earlier commits: the table in architecture.md.

python docs/make_architecture.py [COMMIT...]
"""

from __future__ import annotations

import ast
import io
import statistics
import subprocess
import sys
import tarfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROWS = (
    "modules",
    "lines",
    "lines without blanks, comments and docstrings",
    "names in `tamis.__all__`",
    "public functions and classes",
    "functions",
    "median lines of a function body",
    "90th percentile of lines of a function body",
    "comments per 100 lines of code",
    "packages and top-level modules",
    "arrows between them",
)

Sources = dict[str, str]
"""Text of each module, by its path below `src/tamis`."""


def sources_now() -> Sources:
    """Read the modules of the working tree."""
    folder = ROOT / "src" / "tamis"
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.py")}


def sources_at(commit: str) -> Sources:
    """Read the modules of a commit."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, "src/tamis"], check=True, capture_output=True
    ).stdout
    sources = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            if member.name.endswith(".py") and (file := files.extractfile(member)) is not None:
                sources[member.name.removeprefix("src/tamis/")] = file.read().decode()
    return sources


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:  # that of a lambda is an expression
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                lines |= set(range(value.lineno, (value.end_lineno or value.lineno) + 1))
    return lines


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1 if body else 0


def public_definitions(tree: ast.Module) -> int:
    """Count the functions and classes of a module without a leading underscore."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    top = [node for node in tree.body if isinstance(node, definitions)]
    return sum(not node.name.startswith("_") for node in top)


def imported_packages(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Return the pairs of importing and imported package."""
    importing = path.split("/")[0].removesuffix(".py")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tamis":
            parts = node.module.split(".")
            imported = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
            yield from ((importing, name) for name in imported if name != importing)


def public_names(sources: Sources) -> int:
    """Return the length of `tamis.__all__`."""
    for node in ast.parse(sources["__init__.py"]).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return len(ast.literal_eval(node.value))
    return 0


def measure(sources: Sources) -> tuple[int | float, ...]:
    """Return the numbers of the table, in the order of `ROWS`."""
    code_lines = comments = definitions = 0
    lengths: list[int] = []
    arrows: set[tuple[str, str]] = set()
    for path, text in sources.items():
        tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        skipped = (
            tokenize.COMMENT,
            tokenize.NL,
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENDMARKER,
        )
        used = {
            line
            for token in tokens
            if token.type not in skipped
            for line in range(token.start[0], token.end[0] + 1)
        }
        code_lines += len(used - docstring_lines(tree))
        comments += sum(
            token.type == tokenize.COMMENT and not token.string.startswith(("# type:", "# noqa", "# fmt:"))
            for token in tokens
        )
        definitions += public_definitions(tree)
        lengths += [
            body_length(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        arrows |= set(imported_packages(path, tree))
    packages = {path.split("/")[0].removesuffix(".py") for path in sources} - {"__init__", "__main__"}
    return (
        len(sources),
        sum(text.count("\n") for text in sources.values()),
        code_lines,
        public_names(sources),
        definitions,
        len(lengths),
        statistics.median(lengths),
        statistics.quantiles(lengths, n=10)[-1],
        round(100 * comments / code_lines, 1),
        len(packages),
        len({pair for pair in arrows if pair[0] not in ("__init__", "__main__")}),
    )


def main() -> None:
    """Write the table to the standard output."""
    commits = sys.argv[1:]
    columns = [*(measure(sources_at(commit)) for commit in commits), measure(sources_now())]
    rows = [["", *commits, "now"], ["---"] * (len(columns) + 1)]
    rows += [
        [row, *(f"{value:,.10g}" for value in values)] for row, *values in zip(ROWS, *columns, strict=True)
    ]
    sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
