"""From a recording to its results: a table of stages, and plan() and run() that read it.

Rooms, each importing only from those above it:

    table.py     STAGES: the table that alone knows the order
    card.py      what keys know of a recording, at hand or away
    reading.py   what stages made, read for whoever asks
    seeing.py    the recording as a run sees it
    given.py     what stages need and no stage makes: models, the encoder to start from, what people said
    keys.py      what artefacts are made from, and the key that is its hash
    reasons.py   why a result is stale, in words
    planning.py  plan(): cached, missing or stale, and why
    refusing.py  what is refused before anything is done
    working.py   one stage at work: inputs, function, sink
    running.py   run() and run_piece(): stage by stage; Listener hears of it

Imports of ours that are slow (zarr, torch, pandas) happen inside the functions, so that the CLI can show the table at once.
"""

from barlowtrack.pipeline.card import Away, recording_away, recording_card
from barlowtrack.pipeline.planning import PlannedStage, plan
from barlowtrack.pipeline.reading import edition, older_than, read
from barlowtrack.pipeline.refusing import refuse_another, refuse_before, refuse_piece
from barlowtrack.pipeline.running import Listener, run, run_piece
from barlowtrack.pipeline.seeing import as_seen, preparation_of, recording_of
from barlowtrack.pipeline.table import AMENDMENTS, GIVEN, MAKER, PREPARATION, STAGES, UNAMENDED, Stage, stage_named

__all__ = [
    "AMENDMENTS", "GIVEN", "MAKER", "PREPARATION", "STAGES", "UNAMENDED", "Away", "Listener", "PlannedStage", "Stage", "as_seen", "edition",
    "older_than", "plan", "preparation_of", "read", "recording_away", "recording_card", "recording_of", "refuse_another", "refuse_before",
    "refuse_piece", "run", "run_piece", "stage_named",
]  # fmt: skip
