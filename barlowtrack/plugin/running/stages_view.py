"""A row a stage: what will be done and why, then how far it is."""

from __future__ import annotations

import time
from collections.abc import Mapping

from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QScrollArea, QWidget

from barlowtrack.pipeline import STAGES
from barlowtrack.plugin.parts import SOFT, text_line
from barlowtrack.plugin.running.heard import StageSeen


class StagesView(QScrollArea):
    """Shows every stage with a bar."""

    def __init__(self) -> None:
        super().__init__()
        inside = QWidget()
        grid = QGridLayout(inside)
        grid.setContentsMargins(0, 6, 6, 0)
        grid.setVerticalSpacing(2)
        self.bars: dict[str, QProgressBar] = {}
        self.reasons: dict[str, QLabel] = {}
        for i, stage in enumerate(STAGES):
            title = QLabel(stage.name)
            title.setToolTip(stage.does)
            bar = self.bars[stage.name] = QProgressBar()
            bar.setToolTip(stage.does)
            bar.setTextVisible(True)
            reason = self.reasons[stage.name] = text_line(SOFT)
            grid.addWidget(title, 2 * i, 0)
            grid.addWidget(bar, 2 * i, 1)
            grid.addWidget(reason, 2 * i + 1, 1)
        grid.setColumnStretch(1, 1)
        grid.setRowStretch(2 * len(STAGES), 1)
        self.setWidgetResizable(True)
        self.setWidget(inside)

    def show_stages(self, stages: Mapping[str, StageSeen]) -> None:
        """Shows how far the stages are."""
        now = time.monotonic()
        for name, bar in self.bars.items():
            seen = stages.get(name, StageSeen())
            whole = seen.state in ("cached", "done")
            total, done = (1, 1) if whole else (seen.total, seen.done) if seen.total else (1, 0)
            bar.setRange(0, total)
            bar.setValue(done)
            bar.setFormat(seen.in_words(now).replace("%", "%%"))
            reason = "" if whole else "; ".join(seen.reasons)
            self.reasons[name].setText(reason)
            self.reasons[name].setVisible(bool(reason))
