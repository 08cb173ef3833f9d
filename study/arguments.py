"""Arguments and options that several verbs of the command line take."""

from pathlib import Path
from typing import Annotated

import typer

from study.completion import study_files, study_names
from study.packaged import study_file_at

File = Annotated[
    Path,
    typer.Argument(
        help="Study file, or the name of one that comes along: quick, gt_loss, ntu60.",
        metavar="FILE",
        callback=study_file_at,
        autocompletion=study_files,
    ),
]
Name = Annotated[str, typer.Argument(help="Name of a study.", metavar="NAME", autocompletion=study_names)]
Names = Annotated[
    list[str],
    typer.Argument(help="Name of a study, or of several.", metavar="NAME...", autocompletion=study_names),
]
Studies = Annotated[Path, typer.Option("--studies", help="Folder of all studies.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change the study file, e.g. search.epochs=10. Repeatable.", metavar="KEY=VALUE"),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Recordings to use instead of the file's: a folder of .skeleton files, of Human3.6M, or a motion archive.",
        metavar="PATH",
    ),
]
DataSet = Annotated[
    str | None,
    typer.Option(help="Name of the reader: ntu_rgbd, human36m, archive. Default: as the files look.", metavar="NAME"),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option("--set", help="Option of the reader, e.g. max_action=60. Repeatable.", metavar="NAME=VALUE"),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Join this Ray cluster instead of starting a local one.", metavar="ADDRESS", envvar="RAY_ADDRESS"
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]

STUDIES = Path("studies")
