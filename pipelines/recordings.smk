# Many recordings, stage by stage, each stage a verb of barlowtrack's CLI. `barlowtrack batch FOLDER` drives it; by hand:
#
#     barlowtrack batch FOLDER --dry-run          # writes FOLDER/barlowtrack-batch/work.json
#     snakemake -s recordings.smk --directory FOLDER/barlowtrack-batch --cores 2 --keep-going
#
# What is done is known by the run folders alone: files in done/ only tell Snakemake what this batch has finished. A job that is started again
# goes on where it was. Stages that work volume by volume may be cut into jobs of some volumes each ("spans"), which the next rule puts together.
import json
import shlex
from pathlib import Path

WORK = json.loads(Path(config.get("work", "work.json")).read_text())
RECORDINGS = WORK["recordings"]


def verb(*words):
    """The command line of a verb: words, in which {name} stands for the recording."""

    def line(wildcards):
        span = [part.replace("-", ":") for part in [getattr(wildcards, "span", "")] if part]
        first, *more = words
        target = RECORDINGS[wildcards.name]["target"]
        command = shlex.join([*WORK["command"], first, *target, *more, *(["--volumes", *span] if span else []), "--quiet"])
        return f"(cd {shlex.quote(WORK['folder'])} && {command})"

    return line


def pieces(rule):
    """The pieces that go before a rule; none where one job does all."""
    return lambda wildcards: [f"done/{wildcards.name}.{rule}.{span}" for span in RECORDINGS[wildcards.name]["spans"]]


def wants(rule, what):
    """What a job wants of a machine; time of a piece is its share of the whole, and a job that failed gets more."""

    def amount(wildcards, attempt):
        job = RECORDINGS[wildcards.name]
        needs, n = job["needs"][rule], max(len(job["spans"]), 1)
        if what == "mem_mb":
            return needs["mem_mb"] * attempt
        if what == "gpu":
            return int(needs["gpu"])
        share = n if getattr(wildcards, "span", "") else 1
        return max(15, -(-needs["minutes"] // share)) * attempt

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


# Nuclei of some volumes.
rule segment:
    output:
        touch("done/{name}.segment.{span}"),
    params:
        line=verb("segment"),
    log:
        "logs/{name}.segment.{span}.log",
    resources:
        mem_mb=wants("segment", "mem_mb"),
        runtime=wants("segment", "minutes"),
        gpu=wants("segment", "gpu"),
    shell:
        "{params.line} > {log:q} 2>&1"


# The nuclei that are left, crops, and an encoder.
rule learn:
    input:
        pieces("segment"),
    output:
        touch("done/{name}.learn"),
    params:
        line=verb("run", "--to", "train"),
    log:
        "logs/{name}.learn.log",
    resources:
        mem_mb=wants("learn", "mem_mb"),
        runtime=lambda wildcards, attempt: wants("learn", "minutes")(wildcards, attempt)
        + (0 if RECORDINGS[wildcards.name]["spans"] else wants("segment", "minutes")(wildcards, attempt)),
        gpu=wants("learn", "gpu"),
    shell:
        "{params.line} > {log:q} 2>&1"


# Embeddings of some volumes.
rule embed:
    input:
        "done/{name}.learn",
    output:
        touch("done/{name}.embed.{span}"),
    params:
        line=verb("embed"),
    log:
        "logs/{name}.embed.{span}.log",
    resources:
        mem_mb=wants("embed", "mem_mb"),
        runtime=wants("embed", "minutes"),
        gpu=wants("embed", "gpu"),
    shell:
        "{params.line} > {log:q} 2>&1"


# The embeddings that are left.
rule embedded:
    input:
        "done/{name}.learn",
        pieces("embed"),
    output:
        touch("done/{name}.embedded"),
    params:
        line=verb("run", "--to", "embed"),
    log:
        "logs/{name}.embedded.log",
    resources:
        mem_mb=wants("embed", "mem_mb"),
        runtime=wants("embed", "minutes"),
        gpu=lambda wildcards, attempt: 0 if RECORDINGS[wildcards.name]["spans"] else wants("embed", "gpu")(wildcards, attempt),
    shell:
        "{params.line} > {log:q} 2>&1"


# Who is who.
rule identify:
    input:
        "done/{name}.embedded",
    output:
        touch("done/{name}.identify"),
    params:
        line=verb("run", "--to", "identify"),
    log:
        "logs/{name}.identify.log",
    resources:
        mem_mb=wants("identify", "mem_mb"),
        runtime=wants("identify", "minutes"),
        gpu=0,
    shell:
        "{params.line} > {log:q} 2>&1"


# Light of some volumes.
rule measure:
    input:
        "done/{name}.identify",
    output:
        touch("done/{name}.measure.{span}"),
    params:
        line=verb("measure"),
    log:
        "logs/{name}.measure.{span}.log",
    resources:
        mem_mb=wants("measure", "mem_mb"),
        runtime=wants("measure", "minutes"),
        gpu=0,
    shell:
        "{params.line} > {log:q} 2>&1"


# Everything that is left: light, tracks, traces, the report.
rule finish:
    input:
        "done/{name}.identify",
        pieces("measure"),
    output:
        touch("done/{name}.finish"),
    params:
        line=verb("run"),
    log:
        "logs/{name}.finish.log",
    resources:
        mem_mb=wants("finish", "mem_mb"),
        runtime=lambda wildcards, attempt: wants("finish", "minutes")(wildcards, attempt) + wants("measure", "minutes")(wildcards, attempt),
        gpu=0,
    shell:
        "{params.line} > {log:q} 2>&1"
