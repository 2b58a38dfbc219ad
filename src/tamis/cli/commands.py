"""The commands. What is heavy is imported where it is used, so that help answers at once."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from tamis.cli.arguments import decimal, one_of, read_tolerance, whole_number
from tamis.cli.compilation_cache import check_cache, compilation_cache
from tamis.cli.exporting import print_fpga
from tamis.cli.requests import refuse_missing_files, refuse_what_outputs_say
from tamis.cli.streams import ClosedPipeError, print_message, standard_streams
from tamis.errors import ProblemsError, RequestError, StoppedError, TamisError
from tamis.machine import check_address_space, too_little_memory
from tamis.places import failure

app = typer.Typer(
    name="tamis",
    help="Train, validate and hand over neural-network classifiers for particle-physics events.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130
_TERMINATED = 128 + signal.SIGTERM
_CLOSED_PIPE = 128 + signal.SIGPIPE


class ExportFormat(StrEnum):
    """The forms of the hand-over."""

    ONNX = "onnx"
    JSON = "json"
    LWTNN = "lwtnn"
    CPP = "cpp"
    ALL = "all"
    FPGA = "fpga"


ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file.")]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Where relative file names are looked up; else beside the YAML file."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override one value: --set training.batch_size=256. Repeatable."
    ),
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="The run directory; else runs/NAME.")
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="Refuse input files that are not as `check --write-manifest` saw them.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(parser=whole_number(), metavar="NUMBER", help="Another number gives other events."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")]
NoFigures = Annotated[
    bool, typer.Option("--no-figures", help="Draw nothing: the same as --set report.figures=false.")
]


def _print_version(asked: bool) -> None:
    if asked:
        from tamis.provenance import tamis_version

        typer.echo(f"tamis {tamis_version()}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
) -> None:
    """Hold the options of all commands; `main` reads --debug, wherever it stands."""


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
    from tamis.cli.manifests import compare_with_manifest
    from tamis.cli.progress import train_and_write
    from tamis.config import load_config

    changes = [*(overrides or ()), *(["report.figures=false"] if no_figures else ())]
    loaded = load_config(config, data=data, overrides=changes)
    compare_with_manifest(loaded, manifest)
    with compilation_cache(print_message):
        train_and_write(loaded, output or Path("runs") / loaded.name, overwrite=overwrite)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a finished run.")],
) -> None:
    """Write the page of a run again, from the files in its folder."""
    from tamis.report.page import write_report

    typer.echo(f"wrote {write_report(run)}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Directories of finished runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")] = Path(
        "comparison.html"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that is there.")] = False,
) -> None:
    """Set runs beside the first one, on the same test events, and write a page."""
    from tamis.report.comparison import write_comparison

    comparison = write_comparison(runs, output, overwrite=overwrite)
    for sentence in (*(f"note: {note}" for note in comparison.notes), *comparison.sentences):
        typer.echo(sentence)
    typer.echo(f"wrote {output}")


@app.command()
def check(
    config: ConfigPath,
    output: OutputFolder = None,
    data: DataFolder = None,
    overrides: Overrides = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write everything as JSON, also where something is wrong.")
    ] = False,
    manifest: Manifest = None,
    write_to: Annotated[
        Path | None,
        typer.Option("--write-manifest", metavar="FILE", help="Write the hashes of all input files."),
    ] = None,
) -> None:
    """Read everything and train nothing: files, ledger, suspicious features, weights, memory and disk."""
    from tamis.check import CheckResult, check_input
    from tamis.cli.checking import print_check, print_json
    from tamis.cli.manifests import compare_with_manifest, write_manifest
    from tamis.cli.progress import watching
    from tamis.config import load_config

    try:
        loaded = load_config(config, data=data, overrides=overrides or ())
        compare_with_manifest(loaded, manifest)
    except ProblemsError as error:
        if as_json:
            print_json(CheckResult(problems=error.problems))
        raise
    check_cache(print_message)
    with watching() as watch:
        result = check_input(loaded, watch, folder=output or Path("runs") / loaded.name)
    if as_json:
        print_json(result)
    else:
        print_check(result)
    if result.problems:
        raise RequestError("this configuration cannot be trained on as it is: see the problems above")
    write_manifest(loaded, write_to, aside=as_json)


@app.command()
def init(
    files: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="ROOT or Parquet files, one class each.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here; else to the terminal.")
    ] = None,
    tree: Annotated[
        str | None, typer.Option(metavar="NAME", help="The tree, where files hold several.")
    ] = None,
) -> None:
    """Look into files and write a configuration to start from."""
    from tamis.initial import ASKS_FOR_SIGNAL, initial_configuration, write_configuration

    folder = Path.cwd() if output is None else output.parent
    text = initial_configuration(files, tree=tree, folder=folder)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_configuration(text, output)
        advice = "say in it which class is the signal" if ASKS_FOR_SIGNAL in text else "read it"
        typer.echo(f"wrote {output}; {advice}, then: tamis train {output}")


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.")],
    events: Annotated[
        int, typer.Option(parser=whole_number(), metavar="NUMBER", help="Events of each class.")
    ] = 100_000,
    seed: Seed = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write the workshop's sample, simulated with known densities, as ROOT files."""
    from tamis.data.simulate import write_sample

    for path in write_sample(folder, events=events, seed=seed, overwrite=overwrite):
        typer.echo(f"wrote {path}")


@app.command()
def demo(
    output: OutputFolder = None,
    events: Annotated[
        int, typer.Option(parser=whole_number(), metavar="NUMBER", help="Simulated events of each class.")
    ] = 100_000,
    seed: Seed = 1,
    overwrite: Overwrite = False,
    no_figures: NoFigures = False,
) -> None:
    """Simulate the workshop's sample, train, evaluate and draw: the whole way in one command."""
    from tamis.cli.progress import train_and_write
    from tamis.demo import demo_configuration

    folder = output or Path("runs") / "demo"
    with compilation_cache(print_message):
        config = demo_configuration(
            folder, events=events, seed=seed, overwrite=overwrite, figures=not no_figures
        )
        train_and_write(config, folder, overwrite=overwrite)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or its folder `model`.")],
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            parser=one_of(ExportFormat),
            metavar="FORMAT",
            help="onnx (the default), json, lwtnn, cpp, fpga, or all: those that can express it, but not fpga.",
        ),
    ] = ExportFormat.ONNX,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Where the files go; else beside the classifier."),
    ] = None,
) -> None:
    """Write the classifier of a run as ONNX or in other forms, and check each against the classifier."""
    from tamis.deploy import FORMS, export_classifier
    from tamis.run_reading import model_of

    folder = model_of(run)
    if form is ExportFormat.FPGA:
        with compilation_cache(print_message):
            print_fpga(folder, output)
        return
    everything = form is ExportFormat.ALL
    forms = [each for each in FORMS if everything or each == form.value]
    with compilation_cache(print_message):
        found = export_classifier(folder, forms, output, skip_untranslatable=everything)
    for path in found.files:
        typer.echo(f"wrote {path}")
    for name, each in found.comparisons.items():
        typer.echo(
            f"{name}: on {each.events:,} events the scores differ by at most {each.difference:.1g} from a float64 "
            f"computation (those of tamis in float32 by {each.float32_difference:.1g})."
        )
    for note in found.notes:
        typer.echo(f"note: {note}")


@app.command()
def apply(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or its folder `model`.")],
    files: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="ROOT or Parquet files: paths, globs or URLs.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the scores go.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="ttree (the default), rntuple or parquet; a copy has its input's.",
        ),
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the branches of the input beside the scores.")
    ] = False,
    tree: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The tree to read; else that of the training, or the only one."),
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            metavar="EXPRESSION", help="Score the entries for which this is true, whatever the run says."
        ),
    ] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take selection and tree of this sample of the run.")
    ] = None,
    sentinel: Annotated[
        float | None,
        typer.Option(
            parser=decimal,
            metavar="NUMBER",
            help="The score of entries that cannot be scored; -1 by default.",
        ),
    ] = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="No event was in the training: take the average of all folds.")
    ] = False,
    chunk: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Entries, or bytes such as 16MB, that are read at a time."),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="i/N", help="Score one of N shares of the files; i counts from 0.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(1), metavar="NUMBER", help="Threads that score; else one for each core."
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing; prove that the scores belong to RUN and FILES.")
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            parser=read_tolerance,
            metavar="NUMBER",
            help="With --verify: by how much scores may differ; by default not by a single bit.",
        ),
    ] = None,
) -> None:
    """Write the scores of every entry of files, beside the files."""
    if verify:
        told: dict[str, object] = {
            "--format": form,
            "--copy": copy,
            "--tree": tree,
            "--selection": selection,
            "--sample": sample,
        }
        told |= {"--sentinel": sentinel, "--unseen": unseen, "--chunk": chunk}
        refuse_what_outputs_say(told)
        _verify(run, files, output, shard, tolerance, jobs)
        return
    if tolerance is not None:
        raise RequestError("--tolerance is for --verify alone: give both, or none of them")
    from tamis.apply import Wish, apply_files, parse_chunk, parse_format, parse_shard
    from tamis.cli.application import applying, print_summary

    wish = Wish(
        None if form is None else parse_format(form), -1.0 if sentinel is None else sentinel, unseen, copy
    )
    parts = None if chunk is None else parse_chunk(chunk), None if shard is None else parse_shard(shard)
    with compilation_cache(print_message), applying() as listener:
        summary = apply_files(
            run,
            files,
            output,
            wish=wish,
            selection=selection,
            sample=sample,
            tree=tree,
            chunk=parts[0],
            shard=parts[1],
            jobs=jobs,
            listener=listener,
        )
    print_summary(summary, output)
    if summary.failed:
        refuse_missing_files(each.file for each in summary.outcomes if not each.done)
        raise TamisError("not all files have their scores: see the table above")


def _verify(
    run: Path, files: list[str], output: Path, shard: str | None, tolerance: float | None, jobs: int | None
) -> None:
    from tamis.apply import parse_shard, verify_files
    from tamis.cli.application import print_proofs

    share = None if shard is None else parse_shard(shard)
    with compilation_cache(print_message):
        proofs = verify_files(run, files, output, shard=share, tolerance=tolerance or 0.0, jobs=jobs or 2)
    print_proofs(proofs)
    if not all(proof.holds for proof in proofs):
        refuse_missing_files(proof.file for proof in proofs if not proof.holds)
        raise TamisError("not all scores belong to these files and this run: see the table above")


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a finished run.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Where the input files are now, if they have moved."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            parser=read_tolerance,
            metavar="NUMBER",
            help="By how much scores may differ; 0 wants the same bits.",
        ),
    ] = 0.0,
) -> None:
    """Recompute what can be recomputed of a run, and name what does not match."""
    from tamis.cli.progress import watching
    from tamis.cli.verifying import print_verification
    from tamis.verification import verify_run

    with compilation_cache(print_message), watching() as watch:
        found = verify_run(run, data=data, tolerance=tolerance, watch=watch)
    print_verification(found)
    if not found.holds:
        raise TamisError("this run is not as it was written: see the table above")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error is a few lines and an exit status, a traceback only with --debug.

    Args:
        arguments: without the program's name; by default those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if threading.current_thread() is threading.main_thread():
        # a batch system ends a job so: what is half-written is removed first
        signal.signal(signal.SIGTERM, _terminate)
    thresholds = gc.get_threshold()
    # imports and JAX create millions of objects that live to the end: Python's defaults walk over them all the time,
    # which took 7% of the processor time of `tamis demo`
    gc.set_threshold(50_000, 20, 100)
    try:
        with standard_streams():
            _run(given, debug="--debug" in given)
    finally:
        gc.set_threshold(*thresholds)


def _run(given: list[str], *, debug: bool) -> None:
    try:
        if not {"-h", "--help", "--version"} & set(given):
            _check_folder()
            check_address_space()  # libraries hang or abort where they cannot reserve memory
        try:
            app(args=[argument for argument in given if argument != "--debug"], prog_name="tamis")
        except SystemExit:
            # a full disk shows here at the latest, and not when the interpreter ends
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
        # what was being compiled must not be waited for, and may not be torn down
        os._exit(error.exit_status)
    except (TamisError, OSError, MemoryError) as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"tamis: {_visible(_explain(error))}", err=True)
        raise SystemExit(error.exit_status if isinstance(error, TamisError) else 1) from None
    except Exception as error:
        # what nobody thought of: still no traceback for the user, but a way to report it
        if debug:
            raise
        typer.echo(
            f"tamis: a defect of tamis ({type(error).__name__}: {_visible(str(error))}); please report it with "
            "what the same command prints with --debug",
            err=True,
        )
        raise SystemExit(1) from None


def _check_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise RequestError("the current folder is not there any more; go to another one") from None


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise SystemExit(_TERMINATED)


def _visible(text: str) -> str:
    """Spell out what would command the terminal: names in files from others may hold anything."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def _explain(error: Exception) -> str:
    match error:
        case TamisError():
            return str(error)
        case OSError():
            return failure(error)
        case MemoryError():
            return f"{too_little_memory()}; use fewer events (with `tamis apply` a smaller --chunk), or allow more"
        case _:
            return str(error)
