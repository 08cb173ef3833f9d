"""The command line. Every import that takes time stands inside the verb that needs it."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from study import __version__
from study.arguments import (
    STUDIES,
    Address,
    Data,
    DataSet,
    Debug,
    File,
    Json,
    Name,
    Names,
    ReaderOptions,
    Set,
    Studies,
)
from study.completion import arms, losses, study_files, study_names, trials
from study.outcome import carry_out, make_console
from study.packaged import study_file_at

app = typer.Typer(
    help="Decide with evidence whether one loss can replace another: search every arm fairly, confirm the winners on "
    "fresh seeds, compare.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Look at motion data, and make archives of it.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"study {__version__}")
        raise typer.Exit


@app.callback()
def all_verbs(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    # No docstring: the help of all verbs stands above.
    pass


@app.command()
def launch(
    file: File,
    data: Data = None,
    overrides: Set = None,
    studies: Studies = STUDIES,
    address: Address = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a study: search, confirm, table of arms. The same command goes on with an interrupted one."""
    from study.commands import launch as verb

    carry_out(
        debug,
        lambda: verb.run(
            file,
            overrides=overrides or (),
            data_root=data,
            studies=studies,
            address=address,
            as_json=as_json,
            console=make_console(as_json),
        ),
    )


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="Study file to write, e.g. my-study.yaml.", metavar="FILE")],
    replace: Annotated[
        list[str] | None,
        typer.Option(help="A loss that is to be replaced. Repeatable.", metavar="LOSS", autocompletion=losses),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="A loss in its place. Repeatable.", metavar="LOSS", autocompletion=losses)
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder of recordings, motion archive, or `synthetic`.", metavar="PATH")
    ] = None,
    size: Annotated[Literal["quick", "laptop", "gpu"] | None, typer.Option(help="How much to train.")] = None,
    debug: Debug = False,
) -> None:
    """Ask a few questions and write a study file."""
    from study.commands import new as verb

    carry_out(debug, lambda: verb.run(file, replace=replace, by=by, data=data, size=size, console=make_console()))


@app.command()
def plan(
    file: File,
    data: Data = None,
    overrides: Set = None,
    workers: Annotated[
        list[int] | None, typer.Option(help="Trials at a time. Repeatable.", min=1, max=100_000, metavar="N")
    ] = None,
    simulate: Annotated[
        str | None,
        typer.Option(
            help="Replay the recorded curves of this study instead of measuring.",
            metavar="NAME",
            autocompletion=study_names,
        ),
    ] = None,
    sd: Annotated[
        float | None,
        typer.Option(help="SD of the paired differences in log badness, for the power of claims.", min=1e-9),
    ] = None,
    pilot: Annotated[
        str | None,
        typer.Option(
            help="A confirmed study with the same claims: SD and margins.", metavar="NAME", autocompletion=study_names
        ),
    ] = None,
    studies: Studies = STUDIES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a study would take: trials, time by workers, device hours, disk; and the power of its claims."""
    from study.commands import plan as verb

    carry_out(
        debug,
        lambda: verb.run(
            file,
            overrides=overrides or (),
            data_root=data,
            workers=workers or (),
            simulate=simulate,
            sd=sd,
            pilot=pilot,
            studies=studies,
            as_json=as_json,
            console=make_console(as_json),
        ),
    )


@app.command()
def resume(
    name: Name,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again, but for those that diverged.")
    ] = False,
    add_trials: Annotated[int, typer.Option(help="So many more trials of every arm.", min=0, metavar="N")] = 0,
    more_seeds: Annotated[int, typer.Option(help="So many more seeds of every winner.", min=0, metavar="N")] = 0,
    studies: Studies = STUDIES,
    address: Address = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Go on with a study, with more to do if asked. It needs no study file."""
    from study.commands import resume as verb

    carry_out(
        debug,
        lambda: verb.run(
            name,
            retry_failed=retry_failed,
            add_trials=add_trials,
            more_seeds=more_seeds,
            studies=studies,
            address=address,
            as_json=as_json,
            console=make_console(as_json),
        ),
    )


@app.command()
def stop(
    name: Name,
    now: Annotated[bool, typer.Option("--now", help="Do not wait for checkpoints.")] = False,
    studies: Studies = STUDIES,
    debug: Debug = False,
) -> None:
    """Stop a study that another terminal runs; its running trials write a checkpoint first."""
    from study.commands import stop as verb

    carry_out(debug, lambda: verb.run(name, now=now, studies=studies, console=make_console()))


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(help="Name of a study. Default: all.", metavar="[NAME]", autocompletion=study_names)
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it while it runs.")] = False,
    studies: Studies = STUDIES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show how far a study is."""
    from study.commands import status as verb

    carry_out(
        debug, lambda: verb.run(name, studies=studies, as_json=as_json, watch=watch, console=make_console(as_json))
    )


@app.command("ls")
def list_studies(studies: Studies = STUDIES, as_json: Json = False, debug: Debug = False) -> None:
    """List all studies: state, trials, size, question."""
    from study.commands import ls as verb

    carry_out(debug, lambda: verb.run(studies=studies, as_json=as_json, console=make_console(as_json)))


@app.command()
def show(
    name: Name,
    trial: Annotated[
        str | None,
        typer.Argument(help="ARM/TRIAL, e.g. gt/t03. Default: the plan.", metavar="[TRIAL]", autocompletion=trials),
    ] = None,
    studies: Studies = STUDIES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the locked plan of a study with its amendments, or all that is recorded of one trial."""
    from study.commands import show as verb

    carry_out(debug, lambda: verb.run(name, trial, studies=studies, as_json=as_json, console=make_console(as_json)))


@app.command()
def logs(
    name: Name,
    trial: Annotated[
        str | None,
        typer.Argument(
            help="ARM/TRIAL, e.g. gt/t03. Default: the driver's log.", metavar="[TRIAL]", autocompletion=trials
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing while it runs.")] = False,
    studies: Studies = STUDIES,
    debug: Debug = False,
) -> None:
    """Print what the driver, or the processes of one trial, have to say."""
    from study.commands import logs as verb

    carry_out(debug, lambda: verb.run(name, trial, follow=follow, studies=studies))


@app.command()
def compare(
    names: Names,
    metric: Annotated[
        str | None, typer.Option(help="This metric alone, with every member, e.g. ade.", metavar="METRIC")
    ] = None,
    exit_verdict: Annotated[
        bool, typer.Option("--exit-verdict", help="End with 6 unless every claim is non-inferior or superior.")
    ] = False,
    studies: Studies = STUDIES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a study found: verdicts on its claims, then arms, winners and losses with intervals."""
    from study.commands import compare as verb

    carry_out(
        debug,
        lambda: verb.run(
            names,
            studies=studies,
            metric=metric,
            as_json=as_json,
            exit_verdict=exit_verdict,
            console=make_console(as_json),
        ),
    )


@app.command()
def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="Name of a study.", metavar="[NAME]", autocompletion=study_names)
    ] = None,
    trial: Annotated[
        str | None,
        typer.Argument(
            help="ARM/TRIAL, e.g. gt+bone/t03 or gt+bone/confirm. Default: the best.",
            metavar="[TRIAL]",
            autocompletion=trials,
        ),
    ] = None,
    arm: Annotated[
        str | None, typer.Option(help="The winner of this arm, as confirmed.", metavar="ARM", autocompletion=arms)
    ] = None,
    from_mlflow: Annotated[
        str | None, typer.Option(help="A run of MLflow instead of a study: its files suffice.", metavar="RUN_ID")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Processor threads. Default: as recorded.", min=1, metavar="N")
    ] = None,
    studies: Studies = STUDIES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a recorded trial again and grade how well its numbers come back: A is bit-identical, F ends with 3."""
    from study.commands import reproduce as verb

    carry_out(
        debug,
        lambda: verb.run(
            name,
            trial,
            arm=arm,
            from_mlflow=from_mlflow,
            threads=threads,
            studies=studies,
            as_json=as_json,
            console=make_console(as_json),
        ),
    )


@app.command()
def report(
    name: Name,
    lang: Annotated[Literal["en", "it"], typer.Option(help="Language of the report.")] = "en",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write into. Default: report in the study's.", metavar="DIR")
    ] = None,
    studies: Studies = STUDIES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write what a study found as one page that opens offline, as Markdown, and as CSV."""
    from study.commands import report as verb

    carry_out(
        debug,
        lambda: verb.run(name, language=lang, out=out, studies=studies, as_json=as_json, console=make_console(as_json)),
    )


@app.command()
def publish(name: Name, studies: Studies = STUDIES, as_json: Json = False, debug: Debug = False) -> None:
    """Send MLflow what it misses of a study."""
    from study.commands import publish as verb

    carry_out(debug, lambda: verb.run(name, studies=studies, as_json=as_json, console=make_console(as_json)))


@app.command()
def ui(
    name: Name,
    studies: Studies = STUDIES,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000,
    debug: Debug = False,
) -> None:
    """Open MLflow's pages on a study."""
    from study.commands import ui as verb

    carry_out(debug, lambda: verb.run(name, studies=studies, port=port, console=make_console()))


@app.command()
def validate(
    file: File,
    data: Data = None,
    overrides: Set = None,
    studies: Studies = STUDIES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check a study file and say what it would run."""
    from study.commands import validate as verb

    carry_out(debug, lambda: verb.run(file, overrides or (), data, as_json, studies))


@app.command()
def doctor(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Study file that is to be launched: its data and its disk.",
            metavar="[FILE]",
            callback=lambda path: path and study_file_at(path),
            autocompletion=study_files,
        ),
    ] = None,
    data: Data = None,
    overrides: Set = None,
    studies: Studies = STUDIES,
    address: Address = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find out whether a launch would work here, and what to do where it would not."""
    from study.commands import doctor as verb

    carry_out(
        debug,
        lambda: verb.run(
            file,
            overrides=overrides or (),
            data_root=data,
            studies=studies,
            address=address,
            as_json=as_json,
            console=make_console(as_json),
        ),
    )


@app.command()
def export(
    name: Name,
    target: Annotated[
        Path | None, typer.Argument(help="File to write. Default: NAME.study.tar.gz.", metavar="[OUT]")
    ] = None,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="With the weights of trained models.")] = False,
    studies: Studies = STUDIES,
    debug: Debug = False,
) -> None:
    """Write a whole study into one file that another machine can compare, reproduce and go on with."""
    from study.commands import export as verb

    carry_out(
        debug,
        lambda: verb.run_export(name, target, checkpoints=checkpoints, studies=studies, console=make_console()),
    )


@app.command("import")
def import_file(
    source: Annotated[Path, typer.Argument(help="What `study export` has written.", metavar="FILE")],
    name: Annotated[str | None, typer.Option(help="Another name for it here.", metavar="NAME")] = None,
    studies: Studies = STUDIES,
    debug: Debug = False,
) -> None:
    """Make a study of an exported file."""
    from study.commands import export as verb

    carry_out(debug, lambda: verb.run_import(source, name=name, studies=studies, console=make_console()))


@app.command()
def rm(
    names: Names,
    sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    studies: Studies = STUDIES,
    debug: Debug = False,
) -> None:
    """Remove studies. What MLflow or PostgreSQL hold of them stays there."""
    from study.commands import rm as verb

    carry_out(debug, lambda: verb.run(names, sure=sure, studies=studies, console=make_console()))


@app.command()
def gc(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Name of a study, or of several. Default: all.", metavar="[NAME...]", autocompletion=study_names
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    studies: Studies = STUDIES,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Free the disk of checkpoints that no winner and no interrupted trial needs."""
    from study.commands import gc as verb

    carry_out(
        debug,
        lambda: verb.run(names or [], dry_run=dry_run, studies=studies, as_json=as_json, console=make_console(as_json)),
    )


@data_app.command("prepare")
def data_prepare(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings, at any depth.", metavar="SRC")],
    archive: Annotated[Path, typer.Argument(help="The archive to write.", metavar="OUT.h5")],
    dataset: DataSet = None,
    options: ReaderOptions = None,
    processes: Annotated[int | None, typer.Option(min=1, help="How many read. Default: one a core.")] = None,
    debug: Debug = False,
) -> None:
    """Turn a folder of recordings into one archive. The same command goes on with an interrupted one."""
    from study.commands import data_prepare as verb

    carry_out(
        debug,
        lambda: verb.run(
            folder, archive, dataset=dataset, overrides=options or (), processes=processes, console=make_console()
        ),
    )


@data_app.command("describe")
def data_describe(
    place: Annotated[str, typer.Argument(help="Folder of recordings, motion archive, or `synthetic`.", metavar="PATH")],
    dataset: DataSet = None,
    options: ReaderOptions = None,
    rejects: Annotated[bool, typer.Option("--rejects", help="List every file that was left out.")] = False,
    as_json: Json = False,
    picture: Annotated[Path | None, typer.Option(help="Draw some clips as a contact sheet.", metavar="OUT.png")] = None,
    view: Annotated[
        Literal["three-quarter", "kinect"] | None,
        typer.Option(
            help="Draw people from the side and above, where all movements show, or as the Kinect that recorded them "
            "saw them. Default: three-quarter."
        ),
    ] = None,
    cameras: Annotated[
        Path | None, typer.Option(help="Draw what a camera of Human3.6M sees.", metavar="CAMERAS.h5")
    ] = None,
    debug: Debug = False,
) -> None:
    """Show clips, people, actions, lengths, splits, and what was left out and why."""
    from study.commands import data_describe as verb

    carry_out(
        debug,
        lambda: verb.run(
            place,
            dataset=dataset,
            overrides=options or (),
            all_rejects=rejects,
            as_json=as_json,
            picture=picture,
            view=view,
            cameras=cameras,
            console=make_console(as_json),
        ),
    )


def main() -> None:
    """Entry point of the ``study`` command.

    A publisher may be in the middle of a model when a study is stopped. Were Python taken down under it, torch would
    end the process with a native trace and an exit code of its own; all that must be closed has been by then.
    """
    try:
        app()
    except SystemExit as ended:
        if isinstance(ended.code, int) and any(thread.name == "publisher" for thread in threading.enumerate()):
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(ended.code)
        raise
