# Many recordings, each job a verb of barlowtrack's CLI. `barlowtrack batch FOLDER` drives it; by hand:
#
#     barlowtrack batch FOLDER --dry-run          # writes FOLDER/barlowtrack-batch/work.json
#     snakemake -s recordings.smk --directory FOLDER/barlowtrack-batch --cores 2 --keep-going
#
# What is done is known by the run folders alone ("left": stages that are not): files in done/ only tell Snakemake what this batch has finished.
# A job that is started again goes on where it was. A recording is two jobs: `learn` (all that a GPU makes faster) and `finish`. One that is cut into pieces ("spans") has
# a job a piece for the stages that work volume by volume, and the next rule puts them together.
import json
import shlex
from pathlib import Path

WORK = json.loads(Path(config.get("work", "work.json")).read_text())
RECORDINGS = WORK["recordings"]
ENCODER = WORK["encoder"]  # that all recordings take, and how it is trained; nothing where each has its own, or it is there


def line(*words):
    """A command line of the CLI, with paths as they were seen when the list of work was written."""
    return f"(cd {shlex.quote(WORK['folder'])} && {shlex.join([*WORK['command'], *words, *WORK['waiting'], '--quiet'])})"


def verb(*words, cut=None, taking=True):
    """The command line of a verb for a recording; `cut`: that of one that is cut into pieces, where it differs; `taking` an encoder of all."""

    def said(wildcards):
        job = RECORDINGS[wildcards.name]
        first, *more = cut if cut and job["spans"] else words
        span = getattr(wildcards, "span", "")
        return line(first, *job["target"], *(job["taking"] if taking else []), *more, *(["--volumes", span.replace("-", ":")] if span else []))

    return said


def pieces(stage):
    """The pieces that go before a rule; none where one job does all, or the stage is done."""

    def found(wildcards):
        job = RECORDINGS[wildcards.name]
        return [f"done/{wildcards.name}.{stage}.{span}" for span in job["spans"] if stage in job["left"]]

    return found


def after(rule, *stages, whole=()):
    """The job that goes before another one; none where nothing of its stages is left. `whole`: further ones, of a recording in one piece."""

    def found(wildcards):
        job = RECORDINGS[wildcards.name]
        mine = [*stages, *([] if job["spans"] else whole)]
        return [f"done/{wildcards.name}.{rule}"] if set(mine) & set(job["left"]) else []

    return found


def prepared(wildcards):
    """The job that goes before all others of a recording that is cut into pieces: the look, and pictures that are to be put right."""
    return [f"done/{wildcards.name}.prepare"] if RECORDINGS[wildcards.name]["prepares"] else []


def or_left_out(wildcards):
    """What follows the line of a job whose recording the encoder of all is trained on: others train without it, it fails by itself later."""
    return f" || echo left out >> {shlex.quote(log_of(wildcards))}" if ENCODER and wildcards.name in ENCODER["from"] else ""


def log_of(wildcards):
    span = getattr(wildcards, "span", "")
    return f"logs/{wildcards.name}.segment.{span}.log" if span else f"logs/{wildcards.name}.prepare.log"


def unless_left_out(wildcards):
    """What stands before the line of a piece: nothing is to be made of a recording that the look refused."""
    if not or_left_out(wildcards):
        return ""
    before = shlex.quote(f"logs/{wildcards.name}.prepare.log")
    return f"grep -qsx 'left out' {before} && echo left out > {shlex.quote(log_of(wildcards))} || "


learned = after("learn", "segment", "crop", "train", whole=["embed"])


def wants(what, rule, *also):
    """What a job wants of a machine; time of a piece is its share of the whole, and a job that failed gets more of both.

    `also`: rules whose work it does, too, where the recording is not cut into pieces.
    """

    def amount(wildcards, attempt):
        job = RECORDINGS[wildcards.name]
        needs = [job["needs"][name] for name in ([rule] if job["spans"] else [rule, *also]) if name in job["needs"]]
        if what == "mem_mb":
            return max(need["mem_mb"] for need in needs) * attempt
        share = len(job["spans"]) if getattr(wildcards, "span", "") else 1
        return max(WORK["least_minutes"], -(-sum(need["minutes"] for need in needs) // share)) * attempt

    return amount


wildcard_constraints:
    name="[^/]+?",
    span=r"\d+-\d+",


localrules:
    all,


rule all:
    default_target: True
    input:
        expand("done/{name}.finish", name=RECORDINGS),


# The look that a run takes before it begins, for pieces take none; and what is wrong with the pictures, where the settings ask to put them
# right: pieces of all stages are made of pictures that are right.
rule prepare:
    output:
        touch("done/{name}.prepare"),
    params:
        line=verb("run", "--to", "prepare", taking=False),
        or_left_out=or_left_out,
    log:
        "logs/{name}.prepare.log",
    resources:
        mem_mb=wants("mem_mb", "prepare"),
        runtime=wants("minutes", "prepare"),
    shell:
        "{params.line} > {log:q} 2>&1{params.or_left_out}"


# Nuclei of some volumes.
rule segment:
    input:
        prepared,
    output:
        touch("done/{name}.segment.{span}"),
    params:
        line=verb("segment", taking=False),
        unless_left_out=unless_left_out,
        or_left_out=or_left_out,
    log:
        "logs/{name}.segment.{span}.log",
    resources:
        mem_mb=wants("mem_mb", "segment"),
        runtime=wants("minutes", "segment"),
        gpu=1,
    shell:
        "{params.unless_left_out}{params.line} > {log:q} 2>&1{params.or_left_out}"


# Crops of a recording that the encoder of all is trained on. One that fails is left out, and says why when its own turn comes.
rule crops:
    input:
        prepared,
        pieces("segment"),
    output:
        touch("done/{name}.crops"),
    params:
        line=verb("run", "--to", "crop", taking=False),
    log:
        "logs/{name}.crops.log",
    resources:
        mem_mb=wants("mem_mb", "segment", "prepare"),
        runtime=wants("minutes", "segment", "prepare"),
        gpu=1,
    shell:
        "{params.line} > {log:q} 2>&1 || echo left out >> {log:q}"


# One encoder for all recordings.
rule encoder:
    input:
        expand("done/{name}.crops", name=ENCODER["from"] if ENCODER else []),
    output:
        touch("done/encoder"),
    params:
        line=lambda wildcards: line(*ENCODER["line"]),
    log:
        "logs/encoder.log",
    resources:
        mem_mb=lambda wildcards, attempt: ENCODER["needs"]["mem_mb"] * attempt,
        runtime=lambda wildcards, attempt: ENCODER["needs"]["minutes"] * attempt,
        gpu=1,
    shell:
        "{params.line} > {log:q} 2>&1"


# The nuclei that are left, crops, and an encoder; embeddings, too, where the recording is not cut into pieces.
rule learn:
    input:
        prepared,
        pieces("segment"),
        ["done/encoder"] if ENCODER else [],
    output:
        touch("done/{name}.learn"),
    params:
        line=verb("run", "--to", "embed", cut=("run", "--to", "train")),
    log:
        "logs/{name}.learn.log",
    resources:
        mem_mb=wants("mem_mb", "learn", "prepare", "segment", "embed"),
        runtime=wants("minutes", "learn", "prepare", "segment", "embed"),
        gpu=1,
    shell:
        "{params.line} > {log:q} 2>&1"


# Embeddings of some volumes.
rule embed:
    input:
        prepared,
        learned,
    output:
        touch("done/{name}.embed.{span}"),
    params:
        line=verb("embed"),
    log:
        "logs/{name}.embed.{span}.log",
    resources:
        mem_mb=wants("mem_mb", "embed"),
        runtime=wants("minutes", "embed"),
        gpu=1,
    shell:
        "{params.line} > {log:q} 2>&1"


# Embeddings put together, and who is who; only where light is measured in pieces, which need it.
rule identify:
    input:
        prepared,
        learned,
        pieces("embed"),
    output:
        touch("done/{name}.identify"),
    params:
        line=verb("run", "--to", "identify"),
    log:
        "logs/{name}.identify.log",
    resources:
        mem_mb=wants("mem_mb", "identify"),
        runtime=wants("minutes", "identify"),
    shell:
        "{params.line} > {log:q} 2>&1"


# Light of some volumes.
rule measure:
    input:
        prepared,
        learned,
        after("identify", "embed", "identify"),
    output:
        touch("done/{name}.measure.{span}"),
    params:
        line=verb("measure"),
    log:
        "logs/{name}.measure.{span}.log",
    resources:
        mem_mb=wants("mem_mb", "measure"),
        runtime=wants("minutes", "measure"),
    shell:
        "{params.line} > {log:q} 2>&1"


# Everything that is left: identities, light, tracks, traces, the report.
rule finish:
    input:
        prepared,
        learned,
        pieces("measure"),
    output:
        touch("done/{name}.finish"),
    params:
        line=verb("run"),
    log:
        "logs/{name}.finish.log",
    resources:
        mem_mb=wants("mem_mb", "finish", "identify", "measure"),
        runtime=wants("minutes", "finish", "identify", "measure"),
    shell:
        "{params.line} > {log:q} 2>&1"
