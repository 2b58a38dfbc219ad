"""The commands, in the order of use, which is that of `tamis --help`.

Heavy packages are imported where they are used, so that help answers at once.
"""

from __future__ import annotations

import gc
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tamis.cli.arguments import (
    Command,
    build_choice_parser,
    build_integer_parser,
    parse_decimal,
    read_tolerance,
)
from tamis.cli.compilation_cache import check_cache, compilation_cache
from tamis.cli.streams import ClosedPipeError, print_message, standard_streams
from tamis.errors import ProblemsError, RequestError, StoppedError, TamisError
from tamis.machine import check_address_space, explain_memory_error
from tamis.paths import explain_os_error
from tamis.wording import counted

if TYPE_CHECKING:
    from tamis.config import Config

app = typer.Typer(
    name="tamis",
    help="Train, validate and export neural-network classifiers for particle-physics events.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130
_TERMINATED = 128 + signal.SIGTERM
_CLOSED_PIPE = 128 + signal.SIGPIPE


# written here again because `tamis.export` and `tamis.config` take long to import
_EXPORT_FORMATS = ("onnx", "json", "lwtnn", "cpp", "all", "fpga")
_EXPORT_SYNONYMS = {
    **dict.fromkeys(("c++", "cxx", "hpp", "h", "header", "classifier.hpp"), "cpp"),
    **dict.fromkeys(("hls4ml", "hls", "qonnx", "vhdl", "verilog"), "fpga"),
}
_FIGURE_FORMATS = ("svg", "pdf", "png")


def _value(metavar: str, description: str, *names: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=description)


def _output(metavar: str, description: str) -> Any:
    return _value(metavar, description, "--output", "-o")


def _flag(name: str, description: str) -> Any:
    return typer.Option(name, help=description)


def _number(parser: Callable[[str], object], description: str) -> Any:
    return typer.Option(parser=parser, metavar="NUMBER", help=description)


ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file.")]
DataFolder = Annotated[
    Path | None,
    _value("DIR", "The folder of relative file names; by default that of the YAML file.", "--data"),
]
Overrides = Annotated[
    list[str] | None,
    _value("KEY=VALUE", "Override one value: --set training.batch_size=256. Repeatable.", "--set"),
]
OutputFolder = Annotated[Path | None, _output("DIR", "The run directory; runs/NAME by default.")]
Manifest = Annotated[
    Path | None,
    _value("FILE", "Refuse input files that differ from those of `check --write-manifest`.", "--manifest"),
]
FinishedRun = Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a finished run.")]
RunOrModel = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or its folder `model`.")]
Events = Annotated[int, _number(build_integer_parser(), "Simulated events of each class.")]
Seed = Annotated[int, _number(build_integer_parser(), "Seed of the simulation.")]
Overwrite = Annotated[
    bool, _flag("--overwrite", "Replace a finished run, or checkpoints of another training.")
]
NoFigures = Annotated[bool, _flag("--no-figures", "Draw nothing: the same as --set report.figures=false.")]


def _print_version(requested: bool) -> None:
    if requested:
        from tamis.machine import tamis_version

        typer.echo(f"tamis {tamis_version()}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
    debug: Annotated[bool, _flag("--debug", "Show the whole traceback of an error.")] = False,
) -> None:
    """Declare the options of all commands; `main` reads --debug at any position."""


@app.command()
def demo(
    output: OutputFolder = None,
    events: Events = 100_000,
    seed: Seed = 1,
    overwrite: Overwrite = False,
    no_figures: NoFigures = False,
) -> None:
    """Simulate the workshop's sample, train, evaluate and draw, in one command."""
    from tamis.cli.training import train_and_summarise
    from tamis.demo import prepare_demo

    folder = output or Path("runs") / "demo"
    with compilation_cache(print_message):
        config = prepare_demo(folder, events=events, seed=seed, overwrite=overwrite, figures=not no_figures)
        train_and_summarise(config, folder, overwrite=overwrite)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The output folder.")],
    events: Events = 100_000,
    seed: Seed = 1,
    overwrite: Annotated[bool, _flag("--overwrite", "Replace existing files.")] = False,
) -> None:
    """Write the workshop's sample, simulated with known densities, as ROOT files."""
    from tamis.data.simulate import write_sample

    for path in write_sample(folder, events=events, seed=seed, overwrite=overwrite):
        typer.echo(f"wrote {path}")


@app.command()
def init(
    files: Annotated[
        list[str], typer.Argument(metavar="FILES", help="ROOT or Parquet files, one class each.")
    ],
    output: Annotated[Path | None, _output("FILE", "The output file; the terminal by default.")] = None,
    tree: Annotated[str | None, _value("NAME", "The tree, if files hold several.")] = None,
) -> None:
    """Write a first configuration from the content of files."""
    from tamis import scaffold
    from tamis.config.load import default_name

    if output is None:
        typer.echo(scaffold.build_configuration(files, tree=tree, folder=Path.cwd()), nl=False)
        return
    scaffold.check_new_configuration(output)
    text = scaffold.build_configuration(files, tree=tree, folder=output.parent, name=default_name(output))
    scaffold.write_configuration(text, output)
    advice = "mark the signal class in it" if scaffold.SIGNAL_QUESTION in text else "read it"
    typer.echo(f"wrote {output}; {advice}, then: tamis check {shlex.quote(str(output))}")


@app.command()
def check(
    config: ConfigPath,
    output: OutputFolder = None,
    data: DataFolder = None,
    overrides: Overrides = None,
    as_json: Annotated[
        bool, _flag("--json", "Write the result as JSON, also if there are problems.")
    ] = False,
    manifest: Manifest = None,
    write_to: Annotated[
        Path | None,
        _value("FILE", "Write the hashes of all input files.", "--write-manifest"),
    ] = None,
) -> None:
    """Check everything before a training: files, cutflow, suspicious features, weights, memory and disk."""
    from tamis.check import CheckResult, check_input
    from tamis.cli.checking import print_check, print_json
    from tamis.cli.progress import show_progress
    from tamis.config import load_config
    from tamis.runs.input_manifest import check_new_manifest, write_input_manifest

    try:
        loaded = load_config(config, data=data, overrides=overrides or ())
        _compare_with_manifest(loaded, manifest)
        if write_to is not None:
            check_new_manifest(write_to)
    except ProblemsError as error:
        if as_json:
            print_json(CheckResult(problems=error.problems))
        raise
    check_cache(print_message)
    with show_progress() as callbacks:
        result = check_input(loaded, callbacks, folder=output or Path("runs") / loaded.name)
    if as_json:
        print_json(result)
    else:
        print_check(result)
    if result.problems:
        raise RequestError("a training with this configuration would fail; see the problems above")
    if write_to is not None:
        n_files = write_input_manifest(loaded, write_to)
        # with --json the standard output holds only the result
        typer.echo(f"wrote {write_to}: the hashes of {counted(n_files, 'input file')}", err=as_json)


@app.command()
def train(
    config: ConfigPath,
    output: OutputFolder = None,
    data: DataFolder = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    manifest: Manifest = None,
    no_figures: NoFigures = False,
) -> None:
    """Train a classifier and write the run directory."""
    from tamis.cli.training import train_and_summarise
    from tamis.config import load_config

    changes = [*(overrides or ()), *(["report.figures=false"] if no_figures else ())]
    loaded = load_config(config, data=data, overrides=changes)
    _compare_with_manifest(loaded, manifest)
    with compilation_cache(print_message):
        train_and_summarise(loaded, output or Path("runs") / loaded.name, overwrite=overwrite)


def _compare_with_manifest(config: Config, manifest: Path | None) -> None:
    if manifest is not None:
        from tamis.runs.input_manifest import check_input_manifest

        for note in check_input_manifest(config, manifest):
            print_message(f"note: {note}")


@app.command()
def report(run: FinishedRun) -> None:
    """Draw the figures of a run and write its page again, from its results."""
    from tamis.cli.drawing import drawing_processes
    from tamis.runs.layout import REPORT
    from tamis.runs.write import write_report

    with drawing_processes() as executor:
        write_report(run, executor=executor)
    typer.echo(f"wrote {run / REPORT}")


@app.command()
def figures(
    run: FinishedRun,
    output: Annotated[Path | None, _output("DIR", "The output folder; figures/NAME by default.")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            parser=build_choice_parser(_FIGURE_FORMATS),
            metavar="FORMAT",
            help="svg, pdf or png; repeatable. SVG is always written.",
        ),
    ] = None,
    label: Annotated[str, _value("TEXT", 'Above each figure: "CMS Simulation Preliminary".', "--label")] = "",
    luminosity: Annotated[
        str,
        _value("TEXT", 'Above each figure: "138 fb^{-1} (13 TeV)".', "--luminosity-label"),
    ] = "",
    data: Annotated[
        bool, _flag("--data", "Write the numbers behind the figures too: as CSV and for HEPData.")
    ] = False,
    overwrite: Annotated[bool, _flag("--overwrite", "Replace existing figures.")] = False,
) -> None:
    """Draw the figures of a run again from its results, in other formats or with the label of an experiment."""
    from tamis.plots.experiment import ExperimentLabel
    from tamis.runs.figures import write_figures
    from tamis.runs.read import read_run

    finished = read_run(run)
    folder = output or Path("figures") / finished.name
    experiment = ExperimentLabel(label, luminosity) if label or luminosity else None
    files = write_figures(
        finished, folder, formats=formats or (), label=experiment, data=data, overwrite=overwrite
    )
    typer.echo(f"wrote {counted(len(files), 'file')} to {folder}")


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Directories of at least two finished runs.")
    ],
    output: Annotated[Path, _output("FILE", "The page.")] = Path("comparison.html"),
    overwrite: Annotated[bool, _flag("--overwrite", "Replace an existing page.")] = False,
) -> None:
    """Compare runs with the first one, on the same test events, and write a page."""
    from tamis.comparison.page import write_comparison

    comparison = write_comparison(runs, output, overwrite=overwrite)
    for note in comparison.notes:
        typer.echo(f"note: {note}")
    for pair in comparison.pairs:
        typer.echo(pair.sentence)
    typer.echo(f"wrote {output}")


@app.command()
def apply(
    run: RunOrModel,
    files: Annotated[
        list[str], typer.Argument(metavar="FILES", help="ROOT or Parquet files: paths, globs or URLs.")
    ],
    output: Annotated[Path, _output("DIR", "The folder of the scores.")],
    form: Annotated[
        str | None,
        _value(
            "FORMAT", "ttree (the default), rntuple or parquet; copies have that of the input.", "--format"
        ),
    ] = None,
    copy: Annotated[bool, _flag("--copy", "Copy the branches of the input beside the scores.")] = False,
    tree: Annotated[
        str | None,
        _value("NAME", "The tree to read; else that of the training, or the only one."),
    ] = None,
    selection: Annotated[
        str | None,
        _value("EXPRESSION", "Score entries for which this is true, instead of the run's selection."),
    ] = None,
    sample: Annotated[str | None, _value("NAME", "Use selection and tree of this sample of the run.")] = None,
    sentinel: Annotated[
        float | None,
        _number(parse_decimal, "The score of entries that cannot be scored; -1 by default."),
    ] = None,
    overwrite: Annotated[
        bool, _flag("--overwrite", "Replace scores of another classifier or of other settings.")
    ] = False,
    unseen: Annotated[
        bool, _flag("--unseen", "No event was in the training: use the average of all folds.")
    ] = False,
    chunk: Annotated[
        str | None,
        _value("SIZE", "Entries, or bytes such as 16MB, to read at a time."),
    ] = None,
    shard: Annotated[
        str | None, _value("i/N", "Score one of N shares of the files; i counts from 0.")
    ] = None,
    jobs: Annotated[
        int | None,
        _number(build_integer_parser(1), "Number of threads; by default one per core, and 2 with --verify."),
    ] = None,
    verify: Annotated[
        bool, _flag("--verify", "Write nothing; check that the scores belong to RUN and FILES.")
    ] = False,
    tolerance: Annotated[
        float | None,
        _number(read_tolerance, "With --verify: the largest allowed difference of scores; 0 by default."),
    ] = None,
) -> None:
    """Write the scores of every entry of files."""
    if tolerance is not None and not verify:
        raise RequestError("--tolerance needs --verify; use both, or neither")
    from tamis.apply import ApplyOptions, apply_files, parse_chunk, parse_format, parse_shard, verify_files
    from tamis.cli.application import (
        check_files_exist,
        print_score_checks,
        print_summary,
        show_apply_progress,
    )

    if verify:
        options_given = {
            "--format": form,
            "--copy": copy or None,
            "--tree": tree,
            "--selection": selection,
            "--sample": sample,
            "--sentinel": sentinel,
            "--overwrite": overwrite or None,
            "--unseen": unseen or None,
            "--chunk": chunk,
        }
        if useless := [name for name, value in options_given.items() if value is not None]:
            raise RequestError(
                "--verify reads selection, sentinel, format and similar settings from the outputs; leave out "
                f"{', '.join(useless)}"
            )
        share = None if shard is None else parse_shard(shard)
        with compilation_cache(print_message):
            checks = verify_files(run, files, output, shard=share, tolerance=tolerance or 0.0, jobs=jobs or 2)
        print_score_checks(checks)
        if failed := [check.file for check in checks if not check.holds]:
            check_files_exist(failed)
            raise TamisError("some scores do not belong to these files and this run; see the table above")
        return
    options = ApplyOptions(
        None if form is None else parse_format(form), -1.0 if sentinel is None else sentinel, unseen, copy
    )
    entries_per_chunk = None if chunk is None else parse_chunk(chunk)
    share = None if shard is None else parse_shard(shard)
    with compilation_cache(print_message), show_apply_progress() as callbacks:
        summary = apply_files(
            run,
            files,
            output,
            options=options,
            selection=selection,
            sample=sample,
            tree=tree,
            chunk=entries_per_chunk,
            shard=share,
            jobs=jobs,
            callbacks=callbacks,
            overwrite=overwrite,
        )
    print_summary(summary, output)
    if summary.failed:
        check_files_exist(outcome.file for outcome in summary.outcomes if not outcome.done)
        kind = RequestError if summary.refused else TamisError
        raise kind("some files have no scores; see the table above")


@app.command()
def verify(
    run: FinishedRun,
    data: Annotated[
        Path | None,
        _value("DIR", "The folder of the input files, if they were moved.", "--data"),
    ] = None,
    tolerance: Annotated[
        float, _number(read_tolerance, "The largest allowed difference of scores; 0 by default.")
    ] = 0.0,
) -> None:
    """Check a run against its files, and recompute its scores and numbers if possible."""
    from tamis.cli.checking import print_verification
    from tamis.cli.progress import show_progress
    from tamis.runs.verification import verify_run

    with compilation_cache(print_message), show_progress() as callbacks:
        verification = verify_run(run, data=data, tolerance=tolerance, callbacks=callbacks)
    print_verification(verification)
    if not verification.holds:
        raise TamisError("this run differs from its records; see the table above")


@app.command()
def export(
    run: RunOrModel,
    forms: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            parser=build_choice_parser(_EXPORT_FORMATS, _EXPORT_SYNONYMS),
            metavar="FORMAT",
            help="onnx (the default), json, lwtnn, cpp, fpga, or all: every possible format except fpga. Repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None, _output("DIR", "The output folder; that of the classifier by default.")
    ] = None,
    overwrite: Annotated[bool, _flag("--overwrite", "Replace exports of another classifier.")] = False,
) -> None:
    """Export the classifier of a run to ONNX or other formats, and check each file against the classifier."""
    from tamis.export import FORMATS, export_classifier
    from tamis.runs.read import find_model

    folder, requested = find_model(run), {*(forms or ["onnx"])}
    everything = "all" in requested
    names = [name for name in FORMATS if everything or name in requested]
    if "fpga" in requested:
        if names and output is not None:
            raise RequestError("--format fpga fills a folder of its own; with --output, export it alone")
        _export_fpga(folder, output, overwrite=overwrite)
    if not names:
        return
    with compilation_cache(print_message):
        exported = export_classifier(
            folder, names, output, skip_untranslatable=everything, overwrite=overwrite
        )
    for path in exported.files:
        typer.echo(f"wrote {path}")
    for name, agreement in exported.agreements.items():
        typer.echo(
            f"{name}: the scores of {agreement.events:,} events differ by at most {agreement.difference:.1g} from a "
            f"float64 computation (those of tamis in float32 by {agreement.float32_difference:.1g})."
        )
    for note in exported.notes:
        typer.echo(f"note: {note}")


def _export_fpga(folder: Path, output: Path | None, *, overwrite: bool) -> None:
    from tamis.export.fpga_files import describe_estimate, export_fpga

    with compilation_cache(print_message):
        translated = export_fpga(folder, output, overwrite=overwrite)
    typer.echo(f"wrote {translated.folder}")
    typer.echo(f"The simulated logits of {translated.events:,} events are bit-identical to those of tamis.")
    typer.echo(describe_estimate(translated.network))


for _command in app.registered_commands:
    _command.cls = Command
    # the list shows complete sentences, which click would truncate
    _command.short_help = ((_command.callback and _command.callback.__doc__) or "").partition("\n")[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default that of the process; an error is a few lines, and a traceback only with --debug."""
    command_line = list(sys.argv[1:] if arguments is None else arguments)
    if threading.current_thread() is threading.main_thread():
        # batch systems end jobs by SIGTERM; incomplete files are removed first
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    thresholds = gc.get_threshold()
    # imports and JAX create millions of permanent objects: with Python's defaults, the collector took 7% of the
    # processor time of `tamis demo`
    gc.set_threshold(50_000, 20, 100)
    try:
        with standard_streams():
            _run(command_line, debug="--debug" in command_line)
    finally:
        gc.set_threshold(*thresholds)


def _run(command_line: list[str], *, debug: bool) -> None:
    try:
        if not {"-h", "--help", "--version"} & set(command_line):
            try:
                Path.cwd()
            except FileNotFoundError:
                raise RequestError(
                    "the current folder does not exist any more; change to another one"
                ) from None
            check_address_space()  # libraries hang or abort if they cannot reserve memory
        try:
            app(args=[argument for argument in command_line if argument != "--debug"], prog_name="tamis")
        except SystemExit:
            # so that a full disk is reported here, not at the end of the interpreter
            sys.stdout.flush()
            raise
    except SystemExit as ended:
        if ended.code in (_INTERRUPTED, _TERMINATED):
            how = "interrupted" if ended.code == _INTERRUPTED else "stopped by SIGTERM"
            typer.echo(f"tamis: {how}; nothing half-written was left behind", err=True)
        raise
    except ClosedPipeError:
        raise SystemExit(_CLOSED_PIPE) from None
    except StoppedError as error:
        typer.echo(f"tamis: {error}", err=True)
        with suppress(OSError, ClosedPipeError):
            sys.stdout.flush()
        # exits without cleanup: a compilation in a thread would be waited for, or crash
        os._exit(error.exit_status)
    except (TamisError, OSError, MemoryError) as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"tamis: {_visible(_explain(error))}", err=True)
        raise SystemExit(error.exit_status if isinstance(error, TamisError) else 1) from None
    except Exception as error:
        # an unexpected error: no traceback for the user, but a way to report it
        if debug:
            raise
        typer.echo(
            f"tamis: a defect of tamis ({type(error).__name__}: {_visible(str(error))}); please report it with "
            "what the same command prints with --debug",
            err=True,
        )
        raise SystemExit(1) from None


def _visible(text: str) -> str:
    """Escape control characters, which names in files from others may contain."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1]
        for character in text
    )


def _explain(error: Exception) -> str:
    if isinstance(error, OSError):
        return explain_os_error(error)
    if isinstance(error, MemoryError):
        return f"{explain_memory_error()}; use fewer events (with `tamis apply` a smaller --chunk), or allow more"
    return str(error)
