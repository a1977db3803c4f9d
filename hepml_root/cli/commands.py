"""The command ``hepml-root``: from ROOT files to a trained, evaluated, exported and applied model.

Exit codes: 0 done; 2 something the user can mend (one message on stderr); 130 stopped with Ctrl-C; 1 a fault
of this program. Nothing heavy is imported until a command needs it.

>>> main(["--version"])
hepml-root 0.1.0
0
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from hepml_root import __version__
from hepml_root.cli.compare import add_compare
from hepml_root.cli.config import add_config
from hepml_root.cli.factory import add_factory
from hepml_root.cli.generate import add_generate
from hepml_root.cli.gui import add_gui
from hepml_root.cli.inspect import add_inspect
from hepml_root.cli.library import add_library
from hepml_root.cli.models import add_models
from hepml_root.cli.operators import add_operators
from hepml_root.cli.quiet import quieten, share_cores
from hepml_root.errors import HepmlError, SettingError, nearest

_COMMANDS = (
    *("train", "evaluate", "export", "adopt", "compile", "apply", "generate", "compare"),
    *("gui", "inspect", "library", "factory", "models", "operators", "demo", "config"),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest command or option, and where help is."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(
            r"argument COMMAND: invalid choice: '([^']*)'|unrecognized arguments: (\S+)", message
        )
        if wrong:
            word = wrong.group(1) or wrong.group(2)
            options = [option for action in self._actions for option in action.option_strings]
            close = nearest(word, options if word.startswith("-") else _COMMANDS)
            message += f"; did you mean {close[0]}?" if close else ""
        self.exit(2, f"{self.prog}: {message}\nTry: {self.prog} --help\n")

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse; an option that a command does not know is that command's error, not the whole program's."""
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            commands = next(a.choices for a in self._actions if isinstance(a, argparse._SubParsersAction))
            commands[options.command].error(f"unrecognized arguments: {' '.join(unknown)}")
        return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors a user can mend become one message on stderr."""
    try:
        options = parser().parse(arguments)
    except SystemExit as stop:  # argparse has printed the help, the version or what is wrong
        return int(stop.code or 0)
    debug = getattr(options, "debug", False)
    share_cores()
    if not debug:
        quieten()
    try:
        code = options.run(options) or 0
        sys.stdout.flush()
        return code
    except HepmlError as error:
        if debug:
            raise
        return _fail(str(error), 2)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "stopped with Ctrl-C; nothing half-written was left", 130)
    except BrokenPipeError:  # the reader, as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug or error.strerror is None:
            raise
        return _fail(f"{error.strerror}: '{error.filename}'" if error.filename else error.strerror, 2)
    except Exception as error:
        if debug:
            raise
        return _fail(
            f"internal error, {type(error).__name__}: {error}\nPlease report it with the output of --debug.",
            1,
        )


def _fail(message: str, code: int) -> int:
    print(f"hepml-root: {message}", file=sys.stderr)
    return code


# ---------------------------------------------------------------------------------------------- the commands


def _train(options: argparse.Namespace) -> int:
    if options.schema:
        from hepml_root.cli.job_schema import schema_example

        print(schema_example(), end="")
        return 0
    if options.job is None:
        raise SettingError(
            "train: name a job file; `hepml-root train --schema > job.yaml` writes one to start from."
        )
    from hepml_root.cli.job_file import read_job
    from hepml_root.cli.job_run import run_job

    job = read_job(options.job, options.set)
    run_job(job, overwrite=options.overwrite, resume=options.resume)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from hepml_root.cli.files import evaluate_file

    evaluate_file(
        options.model,
        options.output,
        job_file=options.job,
        everything=options.all,
        changes=options.set,
        overwrite=options.overwrite,
    )
    return 0


def _export(options: argparse.Namespace) -> int:
    from hepml_root.cli.files import export_file

    points = _numbers(options.working_point, "--working-point")
    export_file(
        options.model, options.output, working_points=points, report=options.best_cut,
        overwrite=options.overwrite, certify=options.certify,
    )  # fmt: skip
    return 0


def _adopt(options: argparse.Namespace) -> int:
    from hepml_root.cli.files import adopt_file

    adopt_file(
        options.model,
        options.output,
        job_file=options.job,
        signal_efficiency=options.signal_efficiency,
        inputs=_pairs(options.input, "--input"),
        scores=options.scores,
        labels=options.labels,
        working_points=_numbers(options.working_point, "--working-point"),
        overwrite=options.overwrite,
        certify=options.certify,
    )
    return 0


def _compile(options: argparse.Namespace) -> int:
    from hepml_root.cli.files import compile_file

    compile_file(
        options.model,
        options.output,
        compiler=options.compiler,
        isa=options.isa,
        overwrite=options.overwrite,
    )
    return 0


def _apply(options: argparse.Namespace) -> int:
    from hepml_root.cli.files import apply_file

    apply_file(
        options.model,
        options.source,
        options.output,
        column=options.column,
        format=options.format,
        inputs=_pairs(options.input, "--input"),
        parameters=_numbers(options.parameter, "--parameter"),
        cut=options.cut,
        select=options.select,
        keep=options.keep,
        seed=options.seed,
        allow_extrapolation=options.allow_extrapolation,
        threads=options.threads,
        overwrite=options.overwrite,
    )
    return 0


def _demo(options: argparse.Namespace) -> int:
    from hepml_root.cli.demo import run_demo

    run_demo(options.output, overwrite=options.overwrite, epochs=options.epochs)
    return 0


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return ``["m_bb=m_bb_jes_up"]`` as ``{"m_bb": "m_bb_jes_up"}``."""
    pairs = dict(text.split("=", 1) for text in texts if "=" in text)
    if len(pairs) != len(texts):
        raise SettingError(f"{option}: write LABEL=VALUE, each label once; got {', '.join(texts)}.")
    return pairs


def _numbers(texts: Sequence[str], option: str) -> dict[str, float] | None:
    pairs = _pairs(texts, option)
    try:
        return {label: float(value) for label, value in pairs.items()} or None
    except ValueError:
        raise SettingError(f"{option}: write LABEL=NUMBER; got {', '.join(texts)}.") from None


# --------------------------------------------------------------------------------------------- the arguments


def parser() -> _Parser:
    """Return the parser of the whole command line."""
    everywhere = _Parser(add_help=False)
    everywhere.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show tracebacks and the libraries' notes",
    )
    top = _Parser(
        prog="hepml-root",
        parents=[everywhere],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Modern machine learning inside ROOT: train a Keras network on ROOT files, look at it, "
        "and apply it in C++.",
        epilog="""\
a first walk:
  hepml-root demo                                       the whole road on events shipped inside ROOT
  hepml-root train --schema > job.yaml                  a job file with every setting explained
  hepml-root train job.yaml                             -> runs/higgs/{higgs.keras,higgs.onnx,report/,...}
  hepml-root apply runs/higgs/higgs.onnx data.root:events -o scores.root
  hepml-root COMMAND --help                             what a command takes, with examples

exit codes: 0 done, 2 something to mend (said in one message), 130 stopped with Ctrl-C""",
    )
    top.add_argument("--version", action="version", version=f"hepml-root {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], short: str, more: str) -> _Parser:
        added = commands.add_parser(
            name,
            parents=[everywhere],
            help=short,
            description=short[0].upper() + short[1:] + ".",
            epilog=more,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    def overwriting(added: _Parser) -> None:
        added.add_argument("--overwrite", action="store_true", help="replace the output if it exists already")

    train = command(
        "train", _train, "train, evaluate and export a model as a job file says",
        """\
writes into the job's output folder, NAME being the job's name:
  NAME.keras     for further training          report/        one HTML page, JSON, plots, a ROOT file
  NAME.onnx      for everything else           history.json   what happened in each epoch
  NAME.hxx       the network as C++            summary.json   the figures
  job.yaml       the job, ready to run again

examples:
  hepml-root train --schema > job.yaml                  every setting explained; it runs as it is
  hepml-root train job.yaml
  hepml-root train job.yaml --set training.epochs=5 --set "model.hidden=[32, 32]" --overwrite
  hepml-root train job.yaml --resume                    after Ctrl-C or a crash""",
    )  # fmt: skip
    train.add_argument("job", nargs="?", metavar="JOB.yaml", help="the job file")
    train.add_argument(
        "--schema", action="store_true", help="print a job file with every setting explained, and stop"
    )
    train.add_argument("--resume", action="store_true", help="continue a training that was stopped")
    _add_changes(train)
    overwriting(train)

    evaluate = command(
        "evaluate", _evaluate, "write the report of a model: ROC, significance, overtraining, ranking, …",
        """\
MODEL is a run's folder (its job.yaml says which events), a .keras or a .onnx file (then name the job).
The events are the job's test events, never those the model learnt from, unless --all is given.

examples:
  hepml-root evaluate runs/higgs -o report_again
  hepml-root evaluate model.onnx --job job.yaml -o report
  hepml-root evaluate model.onnx --job other_sample.yaml --all -o report_other_sample""",
    )  # fmt: skip
    evaluate.add_argument("model", metavar="MODEL", help="a run's folder, a .keras or a .onnx file")
    evaluate.add_argument("-o", "--output", required=True, metavar="FOLDER", help="where the report goes")
    evaluate.add_argument("--job", metavar="JOB.yaml", help="the job file whose events are used")
    evaluate.add_argument(
        "--all", action="store_true", help="all events of the job instead of its test events"
    )
    _add_changes(evaluate)
    overwriting(evaluate)

    export = command(
        "export", _export, "write a trained Keras model as one self-contained .onnx file",
        """\
The file holds the graph with its variable transforms, and a manifest: input expressions, units, working
points, provenance. Keras, ONNX Runtime and our C++ (and SOFIE, in a ROOT that has it) score the same events
before it gets its name, real ones and extreme ones; the file holds the differences.

examples:
  hepml-root export runs/higgs/higgs.keras -o higgs.onnx
  hepml-root export runs/higgs/higgs.keras -o cuts.onnx --working-point tight=0.9
  hepml-root export runs/higgs/higgs.keras -o cuts.onnx --best-cut runs/higgs/report""",
    )  # fmt: skip
    export.add_argument("model", metavar="MODEL.keras", help="a model saved by hepml_root")
    export.add_argument("-o", "--output", required=True, metavar="MODEL.onnx", help="the file to write")
    export.add_argument("--working-point", action="append", default=[], metavar="NAME=THRESHOLD",
                        help="a cut on the score to keep in the file (may be repeated)")  # fmt: skip
    export.add_argument("--best-cut", metavar="REPORT",
                        help="keep the best cut of a report, with its yields")  # fmt: skip
    export.add_argument("--no-certify", dest="certify", action="store_false",
                        help="compare with ONNX Runtime only; nothing is compiled")  # fmt: skip
    overwriting(export)

    adopt = command(
        "adopt", _adopt, "give a file of TMVA, PyTorch, scikit-learn or others what the other commands need",
        """\
A weight file of TMVA (*.weights.xml) says itself what its inputs are; of an ONNX file the data section of the
job file does: columns, units, classes. Nothing is trained, and data.max_events may be small. ONNX Runtime
and our C++ score these events before the file gets its name.

examples:
  hepml-root adopt TMVAClassification_BDT.weights.xml -o bdt.onnx
  hepml-root adopt torch.onnx --job job.yaml -o mine.onnx
  hepml-root adopt sklearn.onnx --job job.yaml -o mine.onnx --labels background signal
  hepml-root adopt torch.onnx --job job.yaml -o mine.onnx --input x=particles --input m=particles_mask""",
    )  # fmt: skip
    adopt.add_argument("model", metavar="FILE", help="a .onnx or .weights.xml that another program wrote")
    adopt.add_argument("-o", "--output", required=True, metavar="MODEL.onnx", help="the file to write")
    adopt.add_argument("--job", metavar="JOB.yaml", help="the job file whose inputs an ONNX file takes")
    adopt.add_argument("--signal-efficiency", type=float, metavar="NUMBER",
                       help="of TMVA's Cuts: which of the sets of cuts to take")  # fmt: skip
    adopt.add_argument("--input", action="append", default=[], metavar="NAME=BLOCK",
                       help="which input of the file is which of the job (may be repeated)")  # fmt: skip
    adopt.add_argument("--scores", metavar="NAME", help="the output to take, where there are several")
    adopt.add_argument("--labels", nargs="+", metavar="CLASS",
                       help="what the values of the output are, in its order")  # fmt: skip
    adopt.add_argument("--working-point", action="append", default=[], metavar="NAME=THRESHOLD",
                       help="a cut on the score to keep in the file (may be repeated)")  # fmt: skip
    adopt.add_argument("--no-certify", dest="certify", action="store_false",
                       help="compare with ONNX Runtime only; nothing is compiled")  # fmt: skip
    overwriting(adopt)

    compile_ = command(
        "compile", _compile, "turn a .onnx file into a C++ header or a shared library",
        """\
The header needs only the C++17 standard library:
  #include "higgs.hxx"
  TMVA_SOFIE_higgs::Session session;                 // may be copied and shared by threads
  std::vector<float> score = session.infer(x);

examples:
  hepml-root compile higgs.onnx                         compile into the cache, as define and apply do
  hepml-root compile higgs.onnx -o higgs.hxx            the header alone
  hepml-root compile higgs.onnx -o libhiggs.so          a library for any processor, and the header""",
    )  # fmt: skip
    compile_.add_argument(
        "model", metavar="MODEL.onnx", help="a file that hepml-root export wrote, or any other ONNX network"
    )
    compile_.add_argument(
        "-o", "--output", metavar="FILE", help="a .hxx or a .so file; without it, the cache"
    )
    compile_.add_argument(
        "--compiler", metavar="CXX", help="the C++ compiler; else $CXX, else g++, else clang++"
    )
    compile_.add_argument(
        "--isa",
        metavar="NAME",
        help="the processors to compile for: portable (any; for libraries by default), native (this one; for "
        "the cache), avx512, avx2 or plain",
    )
    overwriting(compile_)

    apply = command(
        "apply", _apply, "write the scores of a model for every event of ROOT files, as a friend tree",
        """\
The inputs are found by the expressions in the model file; the C++ is compiled once and cached.

examples:
  hepml-root apply higgs.onnx data.root:events -o scores.root
  hepml-root apply higgs.onnx "run*.root:events" -o scores.root --column dnn --format rntuple
  hepml-root apply higgs.onnx data.root:events -o up.root --input m_bb=m_bb_jes_up
  root> events->AddFriend("scores", "scores.root"); events->Draw("score")""",
    )  # fmt: skip
    apply.add_argument("model", metavar="MODEL.onnx", help="a file that hepml-root export wrote")
    apply.add_argument("source", nargs="+", metavar="FILE.root:TREE", help="the events; globs are taken")
    apply.add_argument("-o", "--output", required=True, metavar="SCORES.root", help="the file to write")
    apply.add_argument(
        "--column", default="score", metavar="NAME", help="name of the score's column (default: score)"
    )
    apply.add_argument("--format", default="ttree", choices=("ttree", "rntuple"), help="default: ttree")
    apply.add_argument("--input", action="append", default=[], metavar="LABEL=EXPRESSION",
                       help="take another expression for an input of the model")  # fmt: skip
    apply.add_argument("--parameter", action="append", default=[], metavar="LABEL=NUMBER",
                       help="value of a physics parameter of a parameterised model")  # fmt: skip
    apply.add_argument(
        "--cut", metavar="EXPRESSION", help="score only events that pass; adds a column `entry`"
    )
    apply.add_argument(
        "--select",
        metavar="NAME",
        help="write only events that pass this working point of the model; as --cut",
    )
    apply.add_argument(
        "--keep", nargs="+", default=[], metavar="COLUMN", help="columns to write beside the score"
    )
    apply.add_argument("--seed", type=int, default=0, metavar="N",
                       help="seed of a network that draws random numbers (default: 0)")  # fmt: skip
    apply.add_argument("--allow-extrapolation", action="store_true",
                       help="of a generator: take particles that it was not trained for")  # fmt: skip
    apply.add_argument("--threads", type=int, metavar="N", help="threads that score (default: one per core)")
    overwriting(apply)

    add_generate(command, overwriting)
    add_compare(command, overwriting)
    add_gui(command, overwriting)
    add_inspect(command)
    add_library(command)
    add_factory(command)
    add_models(command)
    add_operators(command)

    demo = command(
        "demo", _demo, "the whole road on the HIGGS benchmark events that are shipped inside ROOT",
        """\
Trains on 28 inputs of 10 000 signal and 10 000 background events, writes the report, exports, compiles,
applies the network in C++ inside RDataFrame, checks that Keras, ONNX Runtime and C++ agree, and measures
the speeds. About a minute on two cores.

examples:
  hepml-root demo
  hepml-root demo -o /tmp/higgs --overwrite""",
    )  # fmt: skip
    demo.add_argument("-o", "--output", default="runs/higgs", metavar="FOLDER", help="default: runs/higgs")
    demo.add_argument("--epochs", type=int, metavar="N", help="fewer epochs, for a quick look")
    overwriting(demo)

    add_config(command)
    return top


def _add_changes(added: argparse.ArgumentParser) -> None:
    added.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
                        help="replace a setting of the job file (may be repeated)")  # fmt: skip


def command_help() -> str:
    """Return the help of every command as Markdown, for the documentation."""
    top = parser()
    commands = next(
        action.choices for action in top._actions if isinstance(action, argparse._SubParsersAction)
    )
    parts = []
    for name, command in {"hepml-root": top, **commands}.items():
        command.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100)
        parts.append(f"## {name}\n\n```text\n{command.format_help()}```\n")
    return "\n".join(parts)
